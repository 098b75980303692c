// SPDX-License-Identifier: GPL-2.0

//! Connections that a user took back: they stay with Linux until they are handed over by name.

use crate::{
    tcp::sock::{
        TcpSock,
        WeakSock, //
    },
    util::global::Global, //
};
use core::ptr;
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    }, //
};

/// Sockets by address. A reference keeps the address from being reused until the entry is swept.
type Kept = RBTree<usize, Entry>;

struct Entry {
    sock: ARef<TcpSock>,
    /// Tells the connection from a later one of the same socket.
    hash: u32,
}

static KEPT: Global<Mutex<Kept>> = Global::new();

/// The list. Dropping it forgets all connections.
pub(super) struct Registration(());

impl Registration {
    /// Creates the list. There is one.
    pub(super) fn new() -> Result<Self> {
        let kept = new_mutex!(RBTree::new(), "toe::kept");
        KEPT.publish(Arc::pin_init(kept, GFP_KERNEL)?)?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        drop(KEPT.retract());
    }
}

fn key(sock: &WeakSock) -> usize {
    ptr::from_ref(sock) as usize
}

/// Keeps the connection of `sock` with Linux. Process context; sleeps.
pub(super) fn keep(sock: &TcpSock) -> Result {
    let Some(kept) = KEPT.get() else {
        return Ok(());
    };
    let entry = Entry {
        sock: sock.into(),
        hash: sock.hash(),
    };
    // The former entry, if any, is dropped without the lock.
    let former = kept
        .lock()
        .try_create_and_insert(key(sock), entry, GFP_KERNEL)?;
    drop(former);
    Ok(())
}

/// Returns whether the connection of `sock` is kept. Process context; sleeps.
pub(super) fn contains(sock: &WeakSock) -> bool {
    KEPT.get().is_some_and(|kept| {
        let kept = kept.lock();
        kept.get(&key(sock))
            .is_some_and(|entry| entry.hash == sock.hash())
    })
}

/// Ends [`keep`]. Process context; sleeps.
pub(super) fn forget(sock: &WeakSock) {
    let entry = KEPT.get().and_then(|kept| kept.lock().remove(&key(sock)));
    drop(entry);
}

/// Forgets connections that have ended. Process context; sleeps.
pub(super) fn sweep() {
    let Some(kept) = KEPT.get() else {
        return;
    };
    let mut kept = kept.lock();
    let mut cursor = kept.cursor_front_mut();
    while let Some(at) = cursor {
        let entry = at.current().1;
        let lives = entry.sock.is_established() && entry.sock.hash() == entry.hash;
        cursor = match lives {
            true => at.move_next(),
            false => at.remove_current().0,
        };
    }
}
