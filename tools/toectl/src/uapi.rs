// SPDX-License-Identifier: GPL-2.0

//! Constants of include/uapi/linux/toe.h. A test compares them with the header.

/// Declares constants with the names of the header.
macro_rules! constants {
    ($($name:ident = $value:literal,)*) => {
        $(pub const $name: u16 = $value;)*

        #[cfg(test)]
        const CONSTANTS: &[(&str, u32)] = &[$((stringify!($name), $value),)*];
    };
}

constants! {
    TOE_CMD_CONN_GET = 1,
    TOE_CMD_CONN_DELEGATED_NTF = 2,
    TOE_CMD_CONN_RETURNED_NTF = 3,
    TOE_CMD_CONN_OFFLOAD = 4,
    TOE_CMD_CONN_RETURN = 5,
    TOE_CMD_STATS_GET = 6,
    TOE_CMD_IMPAIR_SET = 7,

    TOE_A_CONN_IFINDEX = 1,
    TOE_A_CONN_PROCESSOR = 2,
    TOE_A_CONN_HOST_ID = 3,
    TOE_A_CONN_DEVICE_ID = 4,
    TOE_A_CONN_FAMILY = 5,
    TOE_A_CONN_LOCAL_ADDRESS = 6,
    TOE_A_CONN_REMOTE_ADDRESS = 7,
    TOE_A_CONN_LOCAL_PORT = 8,
    TOE_A_CONN_REMOTE_PORT = 9,
    TOE_A_CONN_COOKIE = 10,
    TOE_A_CONN_UID = 11,
    TOE_A_CONN_STATE = 12,
    TOE_A_CONN_SENT = 13,
    TOE_A_CONN_RECEIVED = 14,
    TOE_A_CONN_AGE = 15,
    TOE_A_CONN_REASON = 16,
    TOE_A_CONN_ALL = 17,
    TOE_A_CONN_DETAIL = 18,

    TOE_A_REFUSED_REASON = 1,
    TOE_A_REFUSED_COUNT = 2,

    TOE_A_RETURNED_REASON = 1,
    TOE_A_RETURNED_COUNT = 2,

    TOE_A_STATS_IFINDEX = 1,
    TOE_A_STATS_CONNECTIONS = 2,
    TOE_A_STATS_CAPACITY = 3,
    TOE_A_STATS_DELEGATED = 4,
    TOE_A_STATS_SENT = 5,
    TOE_A_STATS_RECEIVED = 6,
    TOE_A_STATS_REFUSED = 7,
    TOE_A_STATS_RETURNED = 8,

    TOE_A_IMPAIR_IFINDEX = 1,
    TOE_A_IMPAIR_DIRECTIONS = 2,
    TOE_A_IMPAIR_LOSS = 3,
    TOE_A_IMPAIR_DUPLICATE = 4,
    TOE_A_IMPAIR_REORDER = 5,
    TOE_A_IMPAIR_CORRUPT = 6,
    TOE_A_IMPAIR_DELAY = 7,
    TOE_A_IMPAIR_JITTER = 8,
    TOE_A_IMPAIR_RATE = 9,
    TOE_A_IMPAIR_SEED = 10,

    TOE_DIRECTION_EGRESS = 1,
    TOE_DIRECTION_INGRESS = 2,
}

/// Names of the values of an enumeration.
pub type Names = &'static [(u32, &'static str)];

/// States of a connection.
pub const CONN_STATE: Names = &[
    (0, "delegating"),
    (1, "delegated"),
    (2, "returning"),
    (3, "linux"),
    (4, "legacy"),
];

/// Reasons for returning a connection.
pub const RETURN_REASON: Names = &[
    (0, "host"),
    (1, "fin"),
    (2, "reset"),
    (3, "syn"),
    (4, "urgent"),
    (5, "out-of-order"),
    (6, "option"),
    (7, "fragment"),
    (8, "window"),
    (9, "timeout"),
    (10, "no-pages"),
    (11, "submission"),
    (12, "stop"),
    (13, "moved"),
    (14, "pressure"),
    (15, "ecn"),
    (16, "gap"),
    (17, "out-of-step"),
    (128, "user"),
    (129, "sysctl"),
    (130, "shutdown"),
    (131, "close"),
    (132, "sockopt"),
    (133, "oob"),
    (134, "link-down"),
    (135, "address"),
    (136, "route"),
    (137, "neighbour"),
    (138, "filter"),
    (139, "device-lost"),
    (140, "interface"),
];

/// Reasons for refusing a hand-over.
pub const REFUSE_REASON: Names = &[
    (1, "busy"),
    (2, "table-full"),
    (3, "exists"),
    (4, "wrong-processor"),
    (5, "bad-state"),
    (6, "unsupported"),
    (128, "disabled"),
    (129, "not-established"),
    (130, "no-device"),
    (131, "no-neighbour"),
    (132, "congestion-control"),
    (133, "authentication"),
    (134, "urgent"),
    (135, "ecn"),
    (136, "recovery"),
    (137, "sockopt"),
    (138, "ulp"),
    (139, "filter"),
    (140, "no-memory"),
    (141, "address"),
    (142, "interface"),
    (143, "user-limit"),
];

/// Name of `value`, or its number if a newer kernel has added it.
pub fn name(names: Names, value: u32) -> String {
    names
        .iter()
        .find(|(known, _)| *known == value)
        .map_or_else(|| value.to_string(), |(_, name)| (*name).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every enumerator of the header with its C value.
    fn header() -> BTreeMap<String, u32> {
        let text = include_str!("../../../include/uapi/linux/toe.h");
        let mut values = BTreeMap::new();
        let mut next = None;
        for line in text.lines() {
            if line.starts_with("enum") {
                next = Some(0);
            } else if line.starts_with('}') {
                next = None;
            } else if let Some(value) = next {
                let entry = line.trim().trim_end_matches(',');
                let (name, value) = match entry.split_once(" = ") {
                    Some((name, given)) => (name, given.parse().unwrap_or(value)),
                    None => (entry, value),
                };
                if !name.is_empty() && !name.contains("_MAX") {
                    values.insert(name.to_string(), value);
                    next = Some(value + 1);
                }
            }
        }
        values
    }

    #[test]
    fn constants_are_the_headers() {
        let mut header = header();
        for (name, value) in CONSTANTS {
            assert_eq!(header.remove(*name), Some(*value), "{name}");
        }
        for (prefix, names) in [
            ("TOE_CONN_STATE_", CONN_STATE),
            ("TOE_RETURN_REASON_", RETURN_REASON),
            ("TOE_REFUSE_REASON_", REFUSE_REASON),
        ] {
            for (value, name) in names {
                let name = prefix.to_string() + &name.to_uppercase().replace('-', "_");
                assert_eq!(header.remove(&name), Some(*value), "{name}");
            }
        }
        assert!(header.is_empty(), "the header has more: {header:?}");
    }
}
