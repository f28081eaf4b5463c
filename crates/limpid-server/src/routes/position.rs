//! Where a pipeline's stream is, and having it go on elsewhere.
//!
//! Owns: asking twice. Does not own: who may call (`gate`), moving (`limpid-engine`).
//!
//! Invariant: nothing is moved by one call: the first says what would be done and gives a word, the second repeats it
//! with that word, within a minute and once.

use std::sync::Mutex;

use hyper::StatusCode;
use limpid_model::FaultCode;

use super::Asked;
use super::status::{fault, unknown};
use crate::answer::Answer;
use crate::api::{AcceptedDocument, MoveDocument, PositionDocument};
use crate::site::Site;

/// How long an asked question stands.
const STANDS_SECONDS: u64 = 60;
/// Questions that stand at once; beyond, the oldest falls.
const QUESTIONS_MAX: usize = 16;
/// A GTID set of a server that has seen hundreds of others has some 20 KiB.
const POSITION_BYTES_MAX: usize = 64 * 1024;

/// Questions that were asked and not yet answered.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Vec<Question>>);

#[derive(Debug)]
struct Question {
    pipeline: String,
    to: String,
    word: String,
    asked_nanos: u64,
}

impl Questions {
    /// The word that answers it. `None` where the system has no random numbers.
    fn ask(&self, pipeline: &str, to: &str, now: u64) -> Option<String> {
        let mut bytes = [0; 8];
        openssl::rand::rand_bytes(&mut bytes).ok()?;
        let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let question =
            Question { pipeline: pipeline.to_owned(), to: to.to_owned(), word: word.clone(), asked_nanos: now };
        let mut standing = self.0.lock().expect("never held across a panic");
        if standing.len() == QUESTIONS_MAX {
            standing.remove(0);
        }
        standing.push(question);
        Some(word)
    }

    /// Whether this was asked, with this word. It stands no longer.
    fn answer(&self, pipeline: &str, to: &str, word: &str, now: u64) -> bool {
        let mut standing = self.0.lock().expect("never held across a panic");
        standing.retain(|question| now.saturating_sub(question.asked_nanos) <= STANDS_SECONDS * 1_000_000_000);
        let place = standing
            .iter()
            .position(|question| question.pipeline == pipeline && question.to == to && question.word == word);
        place.map(|place| standing.remove(place)).is_some()
    }
}

/// Where it is, and what became of the last move.
pub(super) fn show(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    let status = shown.status();
    Answer::json(
        StatusCode::OK,
        &PositionDocument {
            pipeline: shown.view.name.clone(),
            position: status.position,
            head: status.head.map(|head| head.position),
            moving_to: shown.view.handle.moving_to(),
            refused: status.move_refused.as_ref().map(fault),
        },
    )
}

/// Asks, or with the word of the question moves.
pub(super) fn set(site: &Site, asked: &Asked<'_>) -> Answer {
    let Some(shown) = site.pipeline(&asked.name) else { return unknown(&asked.name) };
    let (to, word) = match (asked.parameter("to"), asked.parameter("confirm")) {
        (Ok(to), Ok(word)) => (to.unwrap_or_default(), word),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let legal = !to.is_empty() && to.len() <= POSITION_BYTES_MAX && to.bytes().all(|byte| byte.is_ascii_graphic());
    if !legal {
        return Answer::bad_request("to must be a position in its text form");
    }
    let (pipeline, now) = (&shown.view.name, site.now().nanos);
    let Some(word) = word else {
        let Some(confirm) = site.questions.ask(pipeline, &to, now) else {
            let text = "this machine has no random numbers to ask with";
            return Answer::error(StatusCode::INTERNAL_SERVER_ERROR, FaultCode::HttpAnswerFailed, text);
        };
        let from = shown.status().position;
        let document = MoveDocument {
            pipeline: pipeline.clone(),
            from,
            to: to.into_owned(),
            confirm,
            stands_seconds: STANDS_SECONDS,
        };
        return Answer::json(StatusCode::OK, &document);
    };
    if !site.questions.answer(pipeline, &to, &word, now) {
        return Answer::bad_request("confirm is not the word of such a question, or its minute is over: ask again");
    }
    shown.view.handle.move_to(&to);
    Answer::json(StatusCode::ACCEPTED, &AcceptedDocument { accepted: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_with_its_own_word_and_in_time() {
        let (questions, second) = (Questions::default(), 1_000_000_000);
        let word = questions.ask("shop", "gtid:1-1-5", 0).unwrap();
        assert!(!questions.answer("shop", "gtid:1-1-6", &word, second), "another position");
        assert!(!questions.answer("other", "gtid:1-1-5", &word, second), "another pipeline");
        assert!(!questions.answer("shop", "gtid:1-1-5", "0", second), "another word");
        assert!(questions.answer("shop", "gtid:1-1-5", &word, second));
        assert!(!questions.answer("shop", "gtid:1-1-5", &word, second), "twice");
        let word = questions.ask("shop", "gtid:1-1-5", 0).unwrap();
        assert!(!questions.answer("shop", "gtid:1-1-5", &word, 61 * second), "too late");
    }

    #[test]
    fn a_position_is_set_by_the_second_call_alone() {
        let (site, _) = crate::site::tests::site(vec!["shop"]);
        let call = |query: &str| {
            set(&site, &Asked { name: "shop".into(), query, accept: None, is_viewer: true }).status().as_u16()
        };
        let moving = || site.pipeline("shop").and_then(|shown| shown.view.handle.moving_to());
        assert_eq!((call(""), call("to=a%20b"), call("to=p&confirm=0"), call("to=p")), (400, 400, 400, 200));
        assert_eq!(moving(), None);
        let word = site.questions.ask("shop", "p", site.now().nanos).unwrap();
        assert_eq!((call(&format!("to=p&confirm={word}")), moving()), (202, Some("p".to_owned())));
    }
}
