//! Paths and parameters that nobody should send.

mod calls;

use super::*;

#[test]
fn every_route_is_found_by_its_own_path_and_no_other() {
    for route in ROUTES {
        let path = route.path.replace("{name}", "shop");
        assert!(find(ROUTES, Port::Main, &path).is_ok_and(|(found, _)| std::ptr::eq(found, route)), "{path}");
    }
    for path in ["", "*", "//", "/metrics/", "/Metrics", "/api/v1/pipelines/", "/api/v1/pipelines/a/b", "/../livez"] {
        assert!(find(ROUTES, Port::Main, path).is_err(), "{path}");
    }
}

#[test]
fn percent_signs_are_resolved_or_refused() {
    assert_eq!(decoded("sh%6Fp").unwrap(), "shop");
    assert_eq!(decoded("%C3%BC").unwrap(), "ü");
    for text in ["%", "%4", "%zz", "%+4", "%ff", "a%", "%4%41"] {
        assert!(decoded(text).is_err(), "{text}");
    }
}

#[test]
fn what_a_client_sent_is_repeated_in_a_bounded_piece() {
    assert_eq!(shortened("/x"), "/x");
    assert_eq!(shortened(&"ü".repeat(1000)), "ü".repeat(100) + "...");
}

#[test]
fn a_panic_costs_one_answer_and_is_told() {
    let (site, lines) = crate::site::tests::site(Vec::new());
    let route = route("/broken", "broken", "", Access::Viewer, |_, _| panic!("a broken invariant"));
    let asked = Asked { name: "".into(), query: "", accept: None, is_viewer: true };
    let response = guarded(&site, &route, &asked).into_response();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let line = lines.text();
    for part in ["\"level\":\"ERROR\"", "\"error_code\":\"HTTP_ANSWER_FAILED\"", "\"route\":\"/broken\""] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}
