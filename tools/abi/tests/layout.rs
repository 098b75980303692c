// SPDX-License-Identifier: GPL-2.0

//! Layouts keep their bytes, and the hash is Microsoft's.

use toe_abi::Layout;
use toe_abi::page::PagePost;
use toe_abi::ring::arm_fires;
use toe_abi::ring::arm_word;
use toe_abi::rss::DEFAULT_KEY;
use toe_abi::rss::Toeplitz;
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
    let v4 = |s: [u8; 4], d: [u8; 4], ports| hash.tuple(&s, &d, ports, false);
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
    assert_eq!(hash.tuple(&source, &destination, None, false), 0x2cc1_8cd5);
    assert_eq!(
        hash.tuple(&source, &destination, Some((2794, 1766)), false),
        0x4020_7d3d
    );
}

#[test]
fn symmetric_hash_is_the_same_both_ways() {
    let hash = Toeplitz::new(DEFAULT_KEY);
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    assert_eq!(
        hash.tuple(&a, &b, Some((1, 2)), true),
        hash.tuple(&b, &a, Some((2, 1)), true)
    );
}
