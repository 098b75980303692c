// SPDX-License-Identifier: GPL-2.0

//! XDP: programs that see received frames before the stack does.
//!
//! A device has one program at a time ([`Attachment`]), which its polls look at frame by frame. A
//! receive queue builds each frame for it in memory with room before and behind ([`RxQueue`]), and
//! does what it decides ([`Verdict`]). A frame that leaves through a device, because a program has
//! said so, is a [`Frame`], whoever received it.
//!
//! C header: [`include/net/xdp.h`](srctree/include/net/xdp.h)

mod frame;
mod program;
mod queue;

pub use self::{
    frame::Frame,
    program::{
        Attachment,
        Candidate,
        Program, //
    },
    queue::{
        HashType,
        RxQueue,
        Verdict,
        MAX_LINEAR,
        TAILROOM, //
    }, //
};
