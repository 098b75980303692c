// SPDX-License-Identifier: GPL-2.0

//! XDP: programs that process received frames before the stack does.
//!
//! A device has at most one program ([`Attachment`]), which its polls run on each frame. A receive
//! queue ([`XdpRxQueue`]) builds the frame in a buffer with headroom and tailroom, runs the program
//! and carries out its action ([`Verdict`]). A frame that leaves through a device as a result is an
//! [`XdpFrame`], whichever device received it.
//!
//! C header: [`include/net/xdp.h`](srctree/include/net/xdp.h)

mod frame;
mod program;
mod queue;

pub use self::{
    frame::XdpFrame,
    program::{
        Attachment,
        Program,
        RunningProgram, //
    },
    queue::{
        RssHashType,
        Verdict,
        XdpRxQueue,
        MAX_LINEAR,
        TAILROOM, //
    }, //
};
