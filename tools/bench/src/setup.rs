// SPDX-License-Identifier: GPL-2.0

//! What a run is about: which streams, sent and received how, and what is done to the socket.

use crate::pattern::Pattern;
use crate::receiver;
use crate::receiver::ReceiveMode;
use crate::receiver::Receiver;
use crate::request::Finish;
use crate::request::Request;
use crate::sender;
use crate::sender::Disturbances;
use crate::sender::SendMode;
use crate::sender::Sender;
use anyhow::Result;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Settings of one end, the same for all its connections.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Upper layer protocol to attach.
    pub ulp: Option<Arc<str>>,
    /// How to send.
    pub send: SendMode,
    /// How to receive.
    pub receive: ReceiveMode,
    /// Largest chunk.
    pub chunk: usize,
    /// Who closes, and how.
    pub finish: Finish,
    /// How long to stay open when all is done.
    pub hold: Option<Duration>,
    /// Connections of the event loop that have yet to exchange something.
    pub exchanging: Arc<AtomicU64>,
    /// What else happens while the client sends.
    pub disturbances: Disturbances,
}

/// The two halves of a connection.
pub struct Ends {
    /// Towards the peer.
    pub sender: Sender,
    /// From the peer.
    pub receiver: Receiver,
}

impl Setup {
    /// The halves that serve `request`.
    pub fn ends(&self, request: &Request, is_server: bool, fd: BorrowedFd<'_>) -> Result<Ends> {
        let upload = (Pattern::new(request.seed), request.upload);
        let download = (Pattern::new(!request.seed), request.download);
        let (out, incoming) = if is_server {
            (download, upload)
        } else {
            (upload, download)
        };
        let sender = sender::Plan {
            pattern: out.0,
            total: out.1,
            chunk: if is_server {
                request.chunk as usize
            } else {
                self.chunk
            },
            rate: request.rate,
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
