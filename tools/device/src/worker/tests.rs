// SPDX-License-Identifier: GPL-2.0

use std::env::temp_dir;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use toe_engine::env::Capabilities;
use toe_engine::env::OutFrame;
use toe_engine::env::SendError;
use toe_engine::processor::Seed;

use super::*;
use crate::admin::ControlEvent;
use crate::memory::MemoryMap;
use crate::port::dgram::Dgram;
use crate::port::out;

/// A port that counts how often it is asked for a frame, and panics or is slow.
#[derive(Clone, Default)]
struct Faulty {
    asked: Arc<AtomicUsize>,
    /// Panics when asked for the frame of this number.
    fault: Option<usize>,
    /// Always has a frame, and takes long to deliver it.
    slow: Option<Slow>,
}

/// What takes long.
#[derive(Clone, Copy)]
enum Slow {
    /// Each frame takes this much CPU time.
    Work(Duration),
    /// Others have the CPU for this long, once in 64 frames.
    Wait(Duration),
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
        match self.slow {
            None => return false,
            Some(Slow::Work(time)) => {
                let end = cpu_time() + time.as_micros() as u64;
                while cpu_time() < end {}
            }
            Some(Slow::Wait(time)) if asked % 64 == 0 => thread::sleep(time),
            Some(Slow::Wait(_)) => {}
        }
        true
    }

    fn blocked(&self) -> bool {
        false
    }

    fn unblock(&mut self) {}

    fn dropped(&self) -> u64 {
        0
    }
}

/// A worker with a function for each of `ports`, its handle, and what the functions report.
fn worker(
    ports: impl IntoIterator<Item = impl PortQueue + Send + 'static>,
) -> (Worker, Handle, Receiver<ControlEvent>) {
    let (control, receiver) = mpsc::channel();
    let waker = Arc::new(Waker::new().expect("an eventfd"));
    let (reporter, reports) = mpsc::channel();
    let slots = ports.into_iter().map(|port| SlotPlan {
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
        host: Arc::new(Host::new(2, None).expect("asynchronous I/O")),
        port: PortPlan::Queue(Box::new(port)),
        impairment: None,
        reporter: Reporter::new(reporter.clone()),
    });
    let worker = Worker::new(Plan {
        index: 0,
        control: receiver,
        waker: Arc::clone(&waker),
        epoch: Instant::now(),
        slots: slots.collect(),
        outboxes: vec![None],
        inboxes: Vec::new(),
    });
    (worker, Handle::new(control, waker), reports)
}

#[test]
fn a_panic_ends_one_processor_until_its_reset() {
    let fault = Some(2);
    let ports = [
        Faulty {
            fault,
            ..Faulty::default()
        },
        Faulty::default(),
    ];
    let (mut worker, handle, reports) = worker(ports.clone());
    let counts = || ports.iter().map(|port| port.asked.load(Ordering::Relaxed));
    for _ in 0..5 {
        assert!(worker.turn().is_ok());
    }
    assert!(counts().eq([3, 5]), "abandoned in the third turn");
    assert!(matches!(reports.try_recv(), Ok(ControlEvent::Failed(0))));

    let (to, parked) = mpsc::channel();
    handle.send(Control::Park { function: 0, to });
    assert!(worker.turn().is_ok());
    let parked = parked.try_recv().expect("the processor");
    let (done, wait) = mpsc::channel();
    let processor = parked.cleared();
    handle.send(Control::Unpark {
        function: 0,
        processor,
        done,
    });
    for _ in 0..4 {
        assert!(worker.turn().is_ok());
    }
    assert!(wait.recv().is_err(), "the reset is complete");
    assert!(counts().eq([8, 10]), "works again");
}

/// Frames that a function takes in the last of 20 turns, if each frame is `slow`.
fn frames_of_a_turn(slow: Slow) -> usize {
    let port = Faulty {
        slow: Some(slow),
        ..Faulty::default()
    };
    let (mut worker, _handle, _reports) = worker([port.clone()]);
    let mut before = 0;
    for _ in 0..20 {
        before = port.asked.load(Ordering::Relaxed);
        assert!(worker.turn().is_ok());
    }
    port.asked.load(Ordering::Relaxed) - before
}

#[test]
fn a_slow_function_gets_shorter_turns() {
    let frames = frames_of_a_turn(Slow::Work(Duration::from_micros(100)));
    assert!((4..=20).contains(&frames), "{frames} frames");
    let frames = frames_of_a_turn(Slow::Work(Duration::from_millis(1)));
    assert_eq!(frames, 4, "the floor");
}

#[test]
fn a_function_that_waits_for_the_cpu_keeps_its_turns() {
    let frames = frames_of_a_turn(Slow::Wait(Duration::from_millis(2)));
    assert_eq!(frames, 64);
}

/// A descriptor that reports room ends the sleep once, and not again until a frame is refused.
#[test]
fn a_port_with_room_does_not_keep_its_worker_awake() {
    let path = |end: &str| temp_dir().join(format!("toe-worker-{}-{end}", std::process::id()));
    let (local, remote) = (path("local"), path("remote"));
    let peer = UnixDatagram::bind(&remote).expect("a socket");
    let mut ports = Dgram::open(&local, &remote, 1).expect("a socket");
    let mut port = ports.remove(0);
    while port.send(&out(&[0; 60]), &MemoryMap::EMPTY).is_ok() {}
    assert!(port.blocked());
    let (mut worker, _handle, _reports) = worker([port]);
    let mut buffer = [0; 60];
    peer.set_nonblocking(true).expect("a socket");
    while peer.recv(&mut buffer).is_ok() {}
    worker.sleep(u64::MAX);
    assert!(!worker.slots[0].port().blocked());
    fs::remove_file(remote).expect("the socket");
}
