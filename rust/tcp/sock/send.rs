// SPDX-License-Identifier: GPL-2.0

//! `sendmsg` on a socket that the process owns.

use super::{
    lock::Owned,
    tcp::bytes, //
};
use crate::{
    bindings,
    tcp::message::Message, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

impl Owned<'_> {
    /// Waits for send buffer space for at most 250 ms and at most `timeout` jiffies, and subtracts
    /// the time waited from `timeout`. The socket is released meanwhile.
    ///
    /// # Errors
    ///
    /// `EAGAIN` after a timeout, `EPIPE` if the socket is shut down or has an error, `ERESTARTSYS`
    /// or `EINTR` for a signal.
    pub fn wait_memory(&mut self, timeout: &mut c_long) -> Result {
        let limit = (*timeout).min(kernel::time::msecs_to_jiffies(250) as c_long);
        let mut left = limit;
        // SAFETY: The process owns the socket.
        let waited = unsafe { bindings::sk_stream_wait_memory(self.as_raw(), &mut left) };
        let result = to_result(waited);
        let forever = *timeout == c_long::MAX;
        if !forever {
            *timeout -= limit - left;
        }
        match result {
            Err(EAGAIN) if *timeout != 0 => Ok(()),
            // See `sock_intr_errno()`.
            Err(EINTR) if forever => Err(ERESTARTSYS),
            result => result,
        }
    }

    /// How long a send may block, in jiffies.
    pub fn send_timeout(&self, nonblocking: bool) -> c_long {
        // SAFETY: The process owns the socket.
        unsafe { bindings::sock_sndtimeo(self.as_raw(), nonblocking) }
    }

    /// Converts `error` to the result of `sendmsg`: for `EPIPE` the socket's own error is reported
    /// once, and `SIGPIPE` is sent.
    pub fn send_error(&mut self, message: &Message<'_>, error: Error) -> Error {
        // SAFETY: The process owns the socket.
        let errno = unsafe {
            bindings::sk_stream_error(self.as_raw(), message.flags() as c_int, error.to_errno())
        };
        Error::from_errno(errno)
    }

    /// Queues up to `limit` bytes of `message` on the retransmit queue without transmitting and
    /// without sleeping.
    ///
    /// # Errors
    ///
    /// Those of `sendmsg`; `EAGAIN` without send buffer space.
    pub fn send_shadow(&mut self, message: &mut Message<'_>, limit: usize) -> Result<usize> {
        // SAFETY: The process owns the socket; `message` is valid.
        bytes(unsafe { bindings::tcp_sendmsg_shadow(self.as_raw(), message.as_raw(), limit) })
    }

    /// Sends through Linux's TCP as much of `message` as there is send buffer space for.
    ///
    /// # Errors
    ///
    /// Those of a `sendmsg` with `MSG_DONTWAIT`.
    pub fn send(&mut self, message: &mut Message<'_>) -> Result<usize> {
        let (left, flags) = (message.left(), message.flags());
        let raw = message.as_raw();
        // SAFETY: The process owns the socket; `message` is valid.
        unsafe {
            (*raw).msg_flags = flags | bindings::MSG_DONTWAIT;
            let result = bytes(bindings::tcp_sendmsg_locked(self.as_raw(), raw, left));
            (*raw).msg_flags = flags;
            result
        }
    }

    /// Allocates the completion notification of a `MSG_ZEROCOPY` send, one for all of `message`.
    ///
    /// # Errors
    ///
    /// `ENOBUFS` without memory.
    pub fn zerocopy_start(&mut self, message: &mut Message<'_>) -> Result {
        let left = message.left();
        // SAFETY: The process owns the socket; `message` is valid.
        let (before, ready) = unsafe {
            (
                (*message.as_raw()).msg_ubuf,
                bindings::msg_zerocopy_start(self.as_raw(), message.as_raw(), left),
            )
        };
        message.zerocopy |= before.is_null()
            // SAFETY: `message` is valid.
            && !unsafe { (*message.as_raw()).msg_ubuf }.is_null();
        if ready {
            Ok(())
        } else {
            Err(ENOBUFS)
        }
    }
}
