// SPDX-License-Identifier: GPL-2.0

//! Many connections in one thread: edge-triggered epoll and a queue of those that can go on.

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::epoll::Epoll;
use nix::sys::epoll::EpollCreateFlags;
use nix::sys::epoll::EpollEvent;
use nix::sys::epoll::EpollFlags;
use nix::sys::epoll::EpollTimeout;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

/// How a turn of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It could go on, but others shall have their turn.
    Again,
    /// It waits for its socket.
    Blocked,
    /// It waits for its socket, but no longer than this.
    Pause(Duration),
    /// It is at its end.
    Finished,
}

/// A connection as the reactor sees it.
pub trait Driven {
    /// Its socket, the same for all its life.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Goes on until it has to wait or has had its share.
    fn drive(&mut self) -> Result<Progress>;
}

struct Slot<T> {
    driven: T,
    queued: bool,
}

/// Connections and what they wait for.
pub struct Reactor<T> {
    epoll: Epoll,
    slots: HashMap<u64, Slot<T>>,
    next: u64,
    ready: VecDeque<u64>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    events: Vec<EpollEvent>,
}

/// Token of the listening socket.
const LISTENER: u64 = u64::MAX;

impl<T: Driven> Reactor<T> {
    /// A reactor without connections.
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            slots: HashMap::new(),
            next: 0,
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            events: vec![EpollEvent::empty(); 256],
        })
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Has [`Self::turn`] return when `fd` has a connection to accept.
    pub fn listen(&mut self, fd: impl AsFd) -> Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?)
    }

    /// Adds a connection.
    pub fn add(&mut self, driven: T) -> Result<()> {
        let token = self.next;
        self.next += 1;
        let flags = EpollFlags::EPOLLIN
            | EpollFlags::EPOLLOUT
            | EpollFlags::EPOLLRDHUP
            | EpollFlags::EPOLLET;
        self.epoll.add(driven.fd(), EpollEvent::new(flags, token))?;
        let slot = Slot {
            driven,
            queued: false,
        };
        self.slots.insert(token, slot);
        Ok(())
    }

    /// Waits for something to happen, gives each connection that can go on one turn, and returns
    /// those that have ended and how.
    pub fn turn(&mut self) -> Result<Vec<(T, Result<()>)>> {
        self.wait()?;
        let mut finished = Vec::new();
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else {
                break;
            };
            let Some(slot) = self.slots.get_mut(&token) else {
                continue;
            };
            slot.queued = false;
            let result = match slot.driven.drive() {
                Ok(Progress::Blocked) => continue,
                Ok(Progress::Again) => {
                    self.queue(token);
                    continue;
                }
                Ok(Progress::Pause(time)) => {
                    self.timers.push(Reverse((Instant::now() + time, token)));
                    continue;
                }
                Ok(Progress::Finished) => Ok(()),
                Err(error) => Err(error),
            };
            if let Some(slot) = self.slots.remove(&token) {
                self.epoll.delete(slot.driven.fd())?;
                finished.push((slot.driven, result));
            }
        }
        Ok(finished)
    }

    fn queue(&mut self, token: u64) {
        if let Some(slot) = self.slots.get_mut(&token) {
            if !slot.queued {
                slot.queued = true;
                self.ready.push_back(token);
            }
        }
    }

    fn wait(&mut self) -> Result<()> {
        let now = Instant::now();
        let timeout = match self.timers.peek() {
            _ if !self.ready.is_empty() => EpollTimeout::ZERO,
            None => EpollTimeout::NONE,
            // Rounded up, so as not to wake too early again and again.
            Some(Reverse((due, _))) => {
                let wait = due.saturating_duration_since(now).as_millis() + 1;
                EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
            }
        };
        let mut events = std::mem::take(&mut self.events);
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            self.queue(event.data());
        }
        self.events = events;
        let now = Instant::now();
        while let Some(&Reverse((due, token))) = self.timers.peek() {
            if due > now {
                break;
            }
            self.timers.pop();
            self.queue(token);
        }
        Ok(())
    }
}
