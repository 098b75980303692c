// SPDX-License-Identifier: GPL-2.0

//! How many connections of each user are delegated, and the limit
//! (`net.toe.max_user_connections`).

use super::reason::Refusal;
use crate::{
    tcp::{
        sock::WeakSock,
        sysctl, //
    },
    util::{
        global::Global,
        lock::{
            new_bh_spinlock,
            BhSpinLock, //
        }, //
    }, //
};
use kernel::{
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::Arc, //
};

/// Numbers of connections by user. A user without any has no entry.
struct Users(RBTree<u32, u32>);

impl Users {
    /// Counts a connection of `user`, unless there are `limit` already.
    fn take(&mut self, user: u32, limit: u32, node: RBTreeNodeReservation<u32, u32>) -> bool {
        match self.0.entry(user) {
            Entry::Vacant(entry) => {
                entry.insert(1, node);
            }
            Entry::Occupied(entry) if *entry.get() >= limit => return false,
            Entry::Occupied(entry) => *entry.into_mut() += 1,
        }
        true
    }

    /// Undoes [`Self::take`].
    fn give(&mut self, user: u32) {
        let Entry::Occupied(mut entry) = self.0.entry(user) else {
            return;
        };
        match *entry.get() {
            ..=1 => drop(entry.remove_node()),
            count => *entry.get_mut() = count - 1,
        }
    }
}

static USERS: Global<BhSpinLock<Users>> = Global::new();

/// The counts. Dropping it forgets them.
pub(super) struct Registration(());

impl Registration {
    /// Creates the counts. There is one instance.
    pub(super) fn new() -> Result<Self> {
        let users = new_bh_spinlock!(Users(RBTree::new()));
        USERS.publish(Arc::pin_init(users, GFP_KERNEL)?)?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        drop(USERS.retract());
    }
}

/// A connection that counts for its user, until this is dropped.
pub(super) struct Share {
    user: u32,
}

impl Share {
    /// Counts a connection for the user that owns `sock`. Process context; sleeps.
    ///
    /// # Errors
    ///
    /// `UserLimit`, `NoMemory`.
    pub(super) fn take(sock: &WeakSock) -> Result<Self, Refusal> {
        let users = USERS.get().ok_or(Refusal::NoDevice)?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL).map_err(|_| Refusal::NoMemory)?;
        let user = sock.kuid();
        let limit = match sysctl::max_user_connections(sock) {
            0 => u32::MAX,
            limit => limit,
        };
        let is_taken = users.lock().take(user, limit, node);
        is_taken.then_some(Self { user }).ok_or(Refusal::UserLimit)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(users) = USERS.get() {
            users.lock().give(self.user);
        }
    }
}

#[cfg(CONFIG_KUNIT = "y")]
#[kernel::macros::kunit_tests(toe_shim_quota)]
mod tests {
    use super::*;

    #[test]
    fn users_are_limited_each() -> Result {
        let mut users = Users(RBTree::new());
        let node = || RBTreeNodeReservation::new(GFP_KERNEL);
        assert!(users.take(1, 2, node()?));
        assert!(users.take(1, 2, node()?));
        assert!(!users.take(1, 2, node()?));
        assert!(users.take(2, 2, node()?));
        users.give(1);
        assert!(users.take(1, 2, node()?));
        Ok(())
    }

    #[test]
    fn a_user_without_connections_takes_no_memory() -> Result {
        let mut users = Users(RBTree::new());
        assert!(users.take(1, 2, RBTreeNodeReservation::new(GFP_KERNEL)?));
        users.give(1);
        users.give(1);
        assert!(users.0.is_empty());
        Ok(())
    }
}
