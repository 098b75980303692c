// SPDX-License-Identifier: GPL-2.0

//! Layouts keep their bytes, and the hash is Microsoft's.

use toe_abi::Layout;
use toe_abi::page::PagePost;
use toe_abi::ring::arm_fires;
use toe_abi::ring::arm_word;
use toe_abi::rss::DEFAULT_KEY;
use toe_abi::rss::Fields;
use toe_abi::rss::Toeplitz;
use toe_abi::rss::Traffic;
use toe_abi::rss::field;
use toe_abi::submission::Send;

#[test]
fn bytes_are_little_endian_and_at_their_offsets() {
    let send = Send {
        op: 2,
        count: 1,
        seq: 0x0102_0304,
        lengths: [7, 0, 0, 0],
        ..Send::default()
    };
    let bytes = send.to_bytes();
    assert_eq!(bytes[8..12], [4, 3, 2, 1]);
    assert_eq!(bytes[16], 7);
    assert_eq!(Send::from_bytes(&bytes), send);
}

#[test]
fn page_posts_keep_address_and_identifier() {
    let post = PagePost::new(0xff_fffe, 0x000f_1234_5678_9000).expect("aligned address below 2^52");
    assert_eq!(
        (post.id(), post.address()),
        (0xff_fffe, 0x000f_1234_5678_9000)
    );
    assert_eq!(PagePost::new(0, 0x1001), None);
    assert_eq!(PagePost::new(1 << 24, 0), None);
    assert_eq!(PagePost::new(0, 1 << 52), None);
}

#[test]
fn arm_words_survive_the_wrap_of_the_index() {
    assert!(!arm_fires(0, 5));
    assert!(!arm_fires(arm_word(5), 5));
    assert!(arm_fires(arm_word(5), 6));
    assert!(!arm_fires(arm_word(u32::MAX), u32::MAX));
    assert!(arm_fires(arm_word(u32::MAX), 0));
}

/// Test vectors of Microsoft's "Verifying the RSS Hash Calculation".
#[test]
fn toeplitz_matches_the_published_vectors() {
    let hash = Toeplitz::new(DEFAULT_KEY);
    let of = |s: &[u8], d: &[u8], ports: Option<(u16, u16)>| {
        let fields = field::ADDRESSES | ports.map_or(0, |_| field::PORTS);
        hash.tuple(s, d, ports.unwrap_or_default(), fields, false)
    };
    let v4 = |s: [u8; 4], d: [u8; 4], ports| of(&s, &d, ports);
    assert_eq!(
        v4([66, 9, 149, 187], [161, 142, 100, 80], None),
        0x323e_8fc2
    );
    assert_eq!(
        v4([66, 9, 149, 187], [161, 142, 100, 80], Some((2794, 1766))),
        0x51cc_c178
    );
    assert_eq!(
        v4([199, 92, 111, 2], [65, 69, 140, 83], Some((14230, 4739))),
        0xc626_b0ea
    );
    let source = "3ffe:2501:200:1fff::7"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets();
    let destination = "3ffe:2501:200:3::1"
        .parse::<std::net::Ipv6Addr>()
        .unwrap()
        .octets();
    assert_eq!(of(&source, &destination, None), 0x2cc1_8cd5);
    assert_eq!(of(&source, &destination, Some((2794, 1766))), 0x4020_7d3d);
}

#[test]
fn symmetric_hash_is_the_same_both_ways() {
    let hash = Toeplitz::new(DEFAULT_KEY);
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let all = field::ADDRESSES | field::PORTS;
    assert_eq!(
        hash.tuple(&a, &b, (1, 2), all, true),
        hash.tuple(&b, &a, (2, 1), all, true)
    );
}

#[test]
fn what_does_not_count_changes_no_hash() {
    let hash = Toeplitz::new(DEFAULT_KEY);
    let (a, b, c) = ([192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]);
    let by = |fields, s: &[u8], d: &[u8], ports| hash.tuple(s, d, ports, fields, false);
    assert_eq!(
        by(field::SOURCE, &a, &b, (1, 2)),
        by(field::SOURCE, &a, &c, (3, 4))
    );
    assert_ne!(
        by(field::SOURCE, &a, &b, (1, 2)),
        by(field::SOURCE, &c, &b, (1, 2))
    );
    let port = field::DESTINATION_PORT;
    assert_eq!(by(port, &a, &b, (1, 2)), by(port, &c, &c, (3, 2)));
    assert_ne!(by(port, &a, &b, (1, 2)), by(port, &a, &b, (1, 3)));
}

#[test]
fn fields_are_kept_by_kind_of_traffic() {
    let fields = Fields::DEFAULT;
    assert_eq!(Fields::new(fields.bits()), Some(fields));
    assert_eq!(fields.of(Traffic::Tcp6), field::ADDRESSES | field::PORTS);
    assert_eq!(fields.of(Traffic::Udp4), field::ADDRESSES);
    let changed = fields.with(Traffic::Udp4, field::SOURCE).unwrap();
    assert_eq!(changed.of(Traffic::Udp4), field::SOURCE);
    assert_eq!(changed.of(Traffic::Udp6), field::ADDRESSES);
    // Neither bits that there are not, nor half a pair when both ways are to hash alike.
    assert_eq!(fields.with(Traffic::Tcp4, 1 << 4), None);
    assert_eq!(Fields::new(1 << 17), None);
    assert_eq!(changed.symmetric(true), None);
    let symmetric = fields.symmetric(true).unwrap();
    assert_eq!(symmetric.with(Traffic::Tcp4, field::SOURCE_PORT), None);
    assert_eq!(symmetric.symmetric(false), Some(fields));
}
