// SPDX-License-Identifier: GPL-2.0

//! Parameters of a run: streams, modes and socket settings.

use crate::pattern::Pattern;
use crate::receiver;
use crate::receiver::ReceiveMode;
use crate::receiver::Receiver;
use crate::request::Finish;
use crate::request::Request;
use crate::sender;
use crate::sender::Disturbances;
use crate::sender::Pace;
use crate::sender::SendMode;
use crate::sender::Sender;
use anyhow::Result;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Parameters of one side, the same for all its connections.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Upper layer protocol to attach.
    pub ulp: Option<Arc<str>>,
    /// Send mode.
    pub send: SendMode,
    /// Receive mode.
    pub receive: ReceiveMode,
    /// Maximum chunk size.
    pub chunk: usize,
    /// Which side closes, and how.
    pub finish: Finish,
    /// Time to keep connections open after the transfer.
    pub hold: Option<Duration>,
    /// Number of connections in the event loop that are still transferring.
    pub exchanging: Arc<AtomicU64>,
    /// Disturbances while the client sends.
    pub disturbances: Disturbances,
}

/// Both directions of a connection.
pub struct Ends {
    /// To the peer.
    pub sender: Sender,
    /// From the peer.
    pub receiver: Receiver,
}

impl Setup {
    /// Creates the sender and receiver for `request`.
    pub fn ends(&self, request: &Request, is_server: bool, fd: BorrowedFd<'_>) -> Result<Ends> {
        let upload = (Pattern::new(request.seed), request.upload);
        let download = (Pattern::new(!request.seed), request.download);
        let (out, incoming) = if is_server {
            (download, upload)
        } else {
            (upload, download)
        };
        let pace = match request.rate {
            0 => Pace::Unlimited,
            _ if is_server && request.upload > 0 => Pace::Follow,
            rate => Pace::Rate(rate),
        };
        let sender = sender::Plan {
            pattern: out.0,
            total: out.1,
            chunk: if is_server {
                request.chunk as usize
            } else {
                self.chunk
            },
            pace,
            mode: self.send,
            disturbances: Disturbances {
                urgent: if is_server {
                    request.urgent
                } else {
                    self.disturbances.urgent
                },
                ..self.disturbances
            },
        };
        let receiver = receiver::Plan {
            pattern: incoming.0,
            total: incoming.1,
            chunk: self.chunk,
            mode: self.receive,
        };
        Ok(Ends {
            sender: Sender::new(sender, fd)?,
            receiver: Receiver::new(receiver, fd)?,
        })
    }
}
