// SPDX-License-Identifier: GPL-2.0

//! Backoff of automatic delegation.
//!
//! A socket whose hand-over was refused, or whose connection came back, is not tried again for a
//! while; the delay doubles each time. The delays are in a hash table of fixed size without chaining.
//! A socket may displace another one's entry; the other one is then tried too early, which is
//! harmless.

use super::reason::{
    Cause,
    Refusal, //
};
use crate::{
    tcp::sock::WeakSock,
    util::time::jiffies_msecs, //
};
use core::ptr;
use kernel::sync::atomic::{
    ordering::Relaxed,
    Atomic, //
};

/// log2 of the number of entries.
const LOG2_ENTRIES: u32 = 12;
/// Delay after the first transient refusal or return, in milliseconds.
const DELAY_MS: u32 = 50;
/// Largest number of times that the delay is doubled.
const MAX_DOUBLINGS: u32 = 10;
/// Delay after a lasting refusal, in milliseconds.
const LASTING_DELAY_MS: u32 = 5_000;
/// A connection that was delegated for longer than this starts over with [`DELAY_MS`].
const STABLE_MS: u32 = 5_000;

/// Delay of one socket.
struct Backoff {
    /// [`key`] of the socket.
    socket: Atomic<u64>,
    /// End of the delay ([`jiffies_msecs`]).
    until: Atomic<u32>,
    /// Number of refusals and returns in a row.
    attempts: Atomic<u32>,
}

static TABLE: [Backoff; 1 << LOG2_ENTRIES] = [const {
    Backoff {
        socket: Atomic::new(0),
        until: Atomic::new(0),
        attempts: Atomic::new(0),
    }
}; 1 << LOG2_ENTRIES];

/// Identifies a connection: the address of the socket, and the hash of its addresses and ports,
/// because the memory of a socket is soon reused for another.
fn key(sock: &WeakSock) -> u64 {
    (ptr::from_ref(sock) as u64).rotate_left(32) ^ u64::from(sock.hash())
}

/// Returns the entry for `key`.
fn entry(key: u64) -> &'static Backoff {
    // The golden ratio, as in `hash_64`.
    let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LOG2_ENTRIES);
    // CAST: `LOG2_ENTRIES` bits.
    &TABLE[hash as usize % TABLE.len()]
}

fn attempts(sock: &WeakSock) -> u32 {
    let key = key(sock);
    let entry = entry(key);
    if entry.socket.load(Relaxed) == key {
        entry.attempts.load(Relaxed)
    } else {
        0
    }
}

fn set(sock: &WeakSock, delay: u32, attempts: u32) {
    let key = key(sock);
    let entry = entry(key);
    entry.socket.store(key, Relaxed);
    entry
        .until
        .store(jiffies_msecs().wrapping_add(delay), Relaxed);
    entry.attempts.store(attempts, Relaxed);
}

/// Delays by [`DELAY_MS`], doubled with each attempt.
fn set_exponential(sock: &WeakSock, attempts: u32) {
    let attempts = attempts.min(MAX_DOUBLINGS);
    set(sock, DELAY_MS << (attempts - 1), attempts);
}

/// Returns whether automatic delegation of `sock` is still delayed.
#[inline]
pub(super) fn is_delayed(sock: &WeakSock) -> bool {
    let key = key(sock);
    let entry = entry(key);
    entry.socket.load(Relaxed) == key
        && (jiffies_msecs().wrapping_sub(entry.until.load(Relaxed)) as i32) < 0
}

/// Delays `sock`, which is about to be tried, so that it is not queued a second time meanwhile. The
/// outcome sets another delay.
pub(super) fn queued(sock: &WeakSock) {
    set(sock, LASTING_DELAY_MS, attempts(sock));
}

/// Delays `sock` after a refusal.
pub(super) fn refused(sock: &WeakSock, refusal: Refusal) {
    let attempts = attempts(sock);
    if refusal == Refusal::Recovery {
        // Tried again with the first frame after recovery.
        set(sock, 0, attempts);
    } else if refusal.is_transient() {
        set_exponential(sock, attempts + 1);
    } else {
        lasting(sock);
    }
}

/// Delays `sock`, which something lasting keeps with Linux.
pub(super) fn lasting(sock: &WeakSock) {
    set(sock, LASTING_DELAY_MS, attempts(sock));
}

/// Delays `sock` after a return. The connection was delegated `since` ([`jiffies_msecs`]).
pub(super) fn returned(sock: &WeakSock, since: u32, cause: Cause) {
    let stable = jiffies_msecs().wrapping_sub(since) > STABLE_MS;
    let attempts = match stable || !cause.is_involuntary() {
        true => 1,
        false => attempts(sock) + 1,
    };
    set_exponential(sock, attempts);
}
