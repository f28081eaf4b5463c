//! The contract's own example: read to the end, and refused only for what this version lacks.

use crate::registry::{faults_of, loaded};

const EXAMPLE: &str = include_str!("contract.yaml");

#[test]
fn the_contracts_example_is_refused_for_what_this_version_lacks_and_for_nothing_else() {
    let faults = faults_of("contract.yaml", EXAMPLE);
    let expected = [
        "34:1 NOT_IN_THIS_VERSION `verify` is not in this version | remove it, or write `enabled: false` into it",
        "35:1 NOT_IN_THIS_VERSION `alerts` is not in this version | remove it, or write `enabled: false` into it",
        "47:1 NOT_IN_THIS_VERSION `heal` is not in this version | remove it, or write `enabled: false` into it",
    ];
    assert_eq!(faults, expected);
}

#[test]
fn the_contracts_example_runs_once_what_is_missing_is_written_out_or_switched_off() {
    let mut text = EXAMPLE.to_owned();
    for block in ["heartbeat: {", "verify: {", "heal: {"] {
        text = text.replace(block, &format!("{block} enabled: false,"));
    }
    text = text.replace("alerts:\n", "alerts:\n  enabled: false\n");
    // Nobody needs the variables of a block that is switched off.
    let text = text.replace("${env:SLACK_WEBHOOK}", "${env:NOT_SET}");
    let spec = loaded("contract.yaml", &text).map_err(crate::registry::told).expect("nothing is left to refuse");
    assert_eq!((spec.name.as_str(), spec.source.kind, spec.sink.kind), ("shop", "mysql", "kafka"));
    let transforms: Vec<_> = spec.transforms.iter().map(|spec| (spec.kind, spec.name.as_str())).collect();
    assert_eq!(transforms, [("reject", "reject-1")]);
}
