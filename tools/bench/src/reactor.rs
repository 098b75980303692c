// SPDX-License-Identifier: GPL-2.0

//! Event loop for many connections in one thread: edge-triggered epoll and a run queue.

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

/// Result of a turn of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Ready to continue, after the others have had a turn.
    Again,
    /// Waiting for the socket.
    Blocked,
    /// Waiting for the socket, but no longer than this.
    Pause(Duration),
    /// Finished.
    Finished,
}

/// A connection driven by the reactor.
pub trait Driven {
    /// Its socket, which never changes.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Continues until it must wait or its share of the turn is used up.
    fn drive(&mut self) -> Result<Progress>;
}

struct Entry<T> {
    driven: T,
    queued: bool,
}

/// Connections and their wait state.
pub struct Reactor<T> {
    epoll: Epoll,
    entries: HashMap<u64, Entry<T>>,
    next: u64,
    ready: VecDeque<u64>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    events: Vec<EpollEvent>,
}

/// Epoll data of the listening socket.
const LISTENER: u64 = u64::MAX;

impl<T: Driven> Reactor<T> {
    /// Creates a reactor without connections.
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            entries: HashMap::new(),
            next: 0,
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            events: vec![EpollEvent::empty(); 256],
        })
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes [`Self::turn`] return when `fd` has a connection to accept.
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
        let entry = Entry {
            driven,
            queued: false,
        };
        self.entries.insert(token, entry);
        Ok(())
    }

    /// Waits for events, gives one turn to each connection that is ready, and returns the
    /// connections that have ended with their results.
    pub fn turn(&mut self) -> Result<Vec<(T, Result<()>)>> {
        self.wait()?;
        let mut finished = Vec::new();
        for _ in 0..self.ready.len() {
            let Some(token) = self.ready.pop_front() else {
                break;
            };
            let Some(entry) = self.entries.get_mut(&token) else {
                continue;
            };
            entry.queued = false;
            let result = match entry.driven.drive() {
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
            if let Some(entry) = self.entries.remove(&token) {
                self.epoll.delete(entry.driven.fd())?;
                finished.push((entry.driven, result));
            }
        }
        Ok(finished)
    }

    fn queue(&mut self, token: u64) {
        if let Some(entry) = self.entries.get_mut(&token) {
            if !entry.queued {
                entry.queued = true;
                self.ready.push_back(token);
            }
        }
    }

    fn wait(&mut self) -> Result<()> {
        let now = Instant::now();
        let timeout = match self.timers.peek() {
            _ if !self.ready.is_empty() => EpollTimeout::ZERO,
            None => EpollTimeout::NONE,
            // Rounded up, to avoid repeated early wake-ups.
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
