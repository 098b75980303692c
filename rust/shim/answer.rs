// SPDX-License-Identifier: GPL-2.0

//! The adapter's answer to a hand-over.
//!
//! The answer is given once and never changes afterwards. A processor that stops before it has
//! answered is an answer of its own ([`Answer::Stopped`]), which does not replace one that has
//! arrived: a connection that the adapter has accepted goes through [`State::Carried`] even when the
//! processor stops before the owner of the socket wakes up.
//!
//! ```text
//!   Pending --- Delegated, status Ok -------> Accepted { device_id }
//!      |------- Delegated, other status ----> Refused
//!      `------- Client::stopped ------------> Stopped
//! ```
//!
//! [`State::Carried`]: super::state::State::Carried

use super::reason::Refusal;
use crate::{
    abi::completion::Delegated,
    util::completion::Completion, //
};
use kernel::{
    prelude::*,
    sync::SetOnce,
    time::{
        msecs_to_jiffies,
        Msecs, //
    }, //
};

/// Answer to a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The adapter carries the connection.
    Accepted {
        /// Identifier for submissions.
        device_id: u32,
    },
    /// The adapter does not take the connection.
    Refused(Refusal),
    /// The processor stopped without an answer.
    Stopped,
}

impl From<&Delegated> for Answer {
    fn from(delegated: &Delegated) -> Self {
        match Refusal::from_status(delegated.status) {
            None => Self::Accepted {
                device_id: delegated.device_id,
            },
            Some(refusal) => Self::Refused(refusal),
        }
    }
}

/// An [`Answer`] that is pending at first.
#[pin_data]
pub(super) struct PendingAnswer {
    answer: SetOnce<Answer>,
    #[pin]
    given: Completion,
}

impl PendingAnswer {
    /// Creates a pending answer.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            answer: SetOnce::new(),
            given <- Completion::new(),
        })
    }

    /// Gives the answer and wakes the waiter. Any context.
    ///
    /// Returns false, without effect, when an answer was given before.
    pub(super) fn give(&self, answer: Answer) -> bool {
        let first = self.answer.populate(answer);
        if first {
            self.given.complete_all();
        }
        first
    }

    /// Returns the answer, if it has been given.
    pub(super) fn get(&self) -> Option<Answer> {
        self.answer.copy()
    }

    /// Waits at most `timeout` milliseconds for the answer. Sleeps.
    pub(super) fn wait(&self, timeout: Msecs) -> Option<Answer> {
        self.given
            .wait_for_completion_timeout(msecs_to_jiffies(timeout));
        self.get()
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_answer)]
mod tests {
    use super::*;
    use crate::abi::completion::HandoverStatus;

    fn pending() -> Result<Pin<KBox<PendingAnswer>>> {
        KBox::pin_init(PendingAnswer::new(), GFP_KERNEL)
    }

    fn delegated(status: HandoverStatus) -> Delegated {
        Delegated {
            status: status.raw(),
            device_id: 7,
            ..Delegated::default()
        }
    }

    #[test]
    fn nothing_is_accepted_before_an_answer() -> Result {
        let answer = pending()?;
        assert_eq!(answer.get(), None);
        assert_eq!(answer.wait(1), None);
        Ok(())
    }

    #[test]
    fn an_accepted_connection_stays_accepted_when_the_processor_stops() -> Result {
        let answer = pending()?;
        assert!(answer.give((&delegated(HandoverStatus::Ok)).into()));
        assert!(!answer.give(Answer::Stopped));
        assert_eq!(answer.wait(1), Some(Answer::Accepted { device_id: 7 }));
        Ok(())
    }

    #[test]
    fn a_refusal_stays_a_refusal() -> Result {
        let answer = pending()?;
        assert!(answer.give((&delegated(HandoverStatus::Busy)).into()));
        assert!(!answer.give(Answer::Stopped));
        assert!(!answer.give((&delegated(HandoverStatus::Ok)).into()));
        assert_eq!(answer.get(), Some(Answer::Refused(Refusal::Busy)));
        Ok(())
    }

    #[test]
    fn a_processor_that_stops_ends_the_wait() -> Result {
        let answer = pending()?;
        assert!(answer.give(Answer::Stopped));
        assert!(!answer.give((&delegated(HandoverStatus::Ok)).into()));
        assert_eq!(answer.wait(1), Some(Answer::Stopped));
        Ok(())
    }
}
