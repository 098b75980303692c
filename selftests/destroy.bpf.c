// SPDX-License-Identifier: GPL-2.0
/*
 * Program of destroy.sh, which compiles it with
 *	PORT	remote port of the connections that it destroys
 */

#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))
#define htons(x) __builtin_bswap16(x)

struct sock_common {
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
} __attribute__((preserve_access_index));

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} __attribute__((preserve_access_index));

extern int bpf_sock_destroy(struct sock_common *sk) __attribute__((section(".ksyms")));

SEC("iter/tcp")
int destroy(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;

	if (sk && sk->skc_dport == htons(PORT))
		bpf_sock_destroy(sk);
	return 0;
}

SEC("license") char _license[] = "GPL";
