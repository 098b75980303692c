// SPDX-License-Identifier: GPL-2.0

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use toe_engine::env::Capabilities;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;
use toe_engine::processor::Seed;

use super::*;
use crate::memory::MemoryMap;

/// A port that counts how often it is asked for a frame, and panics at a given time.
struct Faulty {
    asked: Arc<AtomicUsize>,
    fault: Option<usize>,
}

impl PortQueue for Faulty {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn send(&mut self, _: &OutFrame<'_>, _: &MemoryMap) -> Result<(), SendError> {
        Ok(())
    }

    fn receive(&mut self, _: &mut Frame) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        assert_ne!(Some(asked), self.fault, "the fault of this test");
        false
    }

    fn blocked(&self) -> bool {
        false
    }

    fn dropped(&self) -> u64 {
        0
    }
}

#[test]
fn a_panic_ends_one_processor_until_its_reset() {
    let (control, receiver) = mpsc::channel();
    let waker = Arc::new(Waker::new().expect("an eventfd"));
    let asked: Vec<_> = (0..2).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let (reporter, reports) = mpsc::channel();
    let slots = [Some(2), None].into_iter().zip(&asked);
    let slots = slots.map(|(fault, asked)| SlotPlan {
        config: Config {
            index: 0,
            processors: 1,
            connections: 16,
            fragments: 128,
            pages: 64,
            flows: 16,
            hold: 1 << 20,
            hold_connection: 1 << 16,
            mac: [2, 0, 0, 0, 0, 1],
            seed: Seed::new(1),
        },
        doorbells: Arc::new(Doorbells::new(1).expect("memory")),
        host: Arc::new(Host::new(2).expect("asynchronous I/O")),
        port: PortPlan::Queue(Box::new(Faulty {
            asked: Arc::clone(asked),
            fault,
        })),
        impairment: None,
        reporter: Reporter::new(reporter.clone()),
    });
    let mut worker = Worker::new(Plan {
        index: 0,
        control: receiver,
        waker: Arc::clone(&waker),
        epoch: Instant::now(),
        slots: slots.collect(),
        outboxes: vec![None],
        inboxes: Vec::new(),
    });
    let handle = Handle::new(control, waker);
    let counts = || asked.iter().map(|asked| asked.load(Ordering::Relaxed));
    for _ in 0..5 {
        assert!(worker.turn().is_ok());
    }
    assert!(counts().eq([3, 5]), "abandoned in the third turn");
    let report = reports.try_recv();
    assert!(matches!(report, Ok(crate::admin::ControlEvent::Failed(0))));

    let (done, wait) = mpsc::channel();
    handle.send(Control::Reset { function: 0, done });
    for _ in 0..5 {
        assert!(worker.turn().is_ok());
    }
    assert!(wait.recv().is_err(), "the reset is complete");
    assert!(counts().eq([8, 10]), "works again");
}
