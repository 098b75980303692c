// SPDX-License-Identifier: GPL-2.0

//! TCP sockets, their lock, and operations on a locked socket.
//!
//! A socket is locked in one of two ways (`include/net/sock.h`): a process *owns* it
//! ([`TcpSock::lock`]) and may sleep; or softirq context holds its spinlock while no process owns it
//! ([`TcpSock::spin`]). [`Locked`] proves either.
//!
//! C header: [`include/net/sock.h`](srctree/include/net/sock.h)

mod describe;
mod lock;
mod obstacle;
mod parameters;
mod route;
mod send;
mod socket;
mod tcp;
pub(crate) mod trace;

pub(crate) use self::socket::lookup;
pub use self::{
    lock::{
        Lock,
        Locked,
        Owned,
        SockCell,
        Spin, //
    },
    obstacle::{
        Detail,
        Obstacle, //
    },
    parameters::Parameters,
    socket::{
        TcpSock,
        WeakSock, //
    },
    tcp::{
        RtxFrags,
        Tcp,
        MAX_FRAGMENTS, //
    }, //
};
