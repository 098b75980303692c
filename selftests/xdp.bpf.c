// SPDX-License-Identifier: GPL-2.0
/*
* Programs of xdp.sh, which compiles them with
 *	TOE0, VETH	interface indices, the targets of redirect_*
 *	PORT		UDP destination port that cut and grow match
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#define SEC(name) __attribute__((section(name), used))
#define htons(x) __builtin_bswap16(x)

static long (*const bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*const bpf_xdp_adjust_head)(struct xdp_md *ctx, int by) =
	(void *)BPF_FUNC_xdp_adjust_head;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int by) =
	(void *)BPF_FUNC_xdp_adjust_tail;
static long (*const bpf_xdp_adjust_meta)(struct xdp_md *ctx, int by) =
	(void *)BPF_FUNC_xdp_adjust_meta;

/* <linux/icmp.h> needs headers of the C library. */
struct icmp {
	__u8 type, code;
	__u16 checksum;
	__u16 id, sequence;
};

enum { ICMP_ECHOREPLY = 0, ICMP_ECHO = 8 };

struct packet {
	struct ethhdr eth;
	struct iphdr ip;
	union {
		struct icmp icmp;
		struct udphdr udp;
	};
} __attribute__((packed));

/* Returns the IPv4 packet if it is of @protocol and without options, else NULL. */
static __always_inline struct packet *packet(struct xdp_md *ctx, __u8 protocol)
{
	struct packet *p = (void *)(long)ctx->data;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return 0;
	if (p->eth.h_proto != htons(ETH_P_IP) || p->ip.ihl != 5 || p->ip.protocol != protocol)
		return 0;
	return p;
}

SEC("xdp") int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp.frags") int pass_frags(struct xdp_md *ctx)
{
	return XDP_PASS;
}

/* Adds metadata, which must not affect the frame in the network stack. */
SEC("xdp.frags") int meta(struct xdp_md *ctx)
{
	__u32 *word;

	if (bpf_xdp_adjust_meta(ctx, -4))
		return XDP_ABORTED;
	word = (void *)(long)ctx->data_meta;
	if ((void *)(word + 1) > (void *)(long)ctx->data)
		return XDP_ABORTED;
	*word = 0x746f65;
	return XDP_PASS;
}

SEC("xdp.frags") int drop_icmp(struct xdp_md *ctx)
{
	return packet(ctx, IPPROTO_ICMP) ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags") int abort_icmp(struct xdp_md *ctx)
{
	return packet(ctx, IPPROTO_ICMP) ? XDP_ABORTED : XDP_PASS;
}

/* Answers echo requests before Linux sees them. */
SEC("xdp.frags") int echo(struct xdp_md *ctx)
{
	struct packet *p = packet(ctx, IPPROTO_ICMP);
	__u8 mac[ETH_ALEN];
	__u32 address, sum;

	if (!p || p->icmp.type != ICMP_ECHO)
		return XDP_PASS;
	__builtin_memcpy(mac, p->eth.h_dest, ETH_ALEN);
	__builtin_memcpy(p->eth.h_dest, p->eth.h_source, ETH_ALEN);
	__builtin_memcpy(p->eth.h_source, mac, ETH_ALEN);
	address = p->ip.saddr;
	p->ip.saddr = p->ip.daddr;
	p->ip.daddr = address;
	p->icmp.type = ICMP_ECHOREPLY;
	sum = p->icmp.checksum + htons(ICMP_ECHO << 8);
	p->icmp.checksum = sum + (sum >> 16);
	return XDP_TX;
}

SEC("xdp.frags") int redirect_to_veth(struct xdp_md *ctx)
{
	return bpf_redirect(VETH, 0);
}

SEC("xdp.frags") int redirect_to_toe0(struct xdp_md *ctx)
{
	return bpf_redirect(TOE0, 0);
}

/* Makes the datagrams to PORT longer or shorter. */
static __always_inline int resize(struct xdp_md *ctx, int by)
{
	struct packet *p = packet(ctx, IPPROTO_UDP);
	__u32 sum = 0;
	__u16 *word;

	if (!p || p->udp.dest != htons(PORT))
		return XDP_PASS;
	p->ip.tot_len = htons(htons(p->ip.tot_len) + by);
	p->udp.len = htons(htons(p->udp.len) + by);
	p->udp.check = 0;
	p->ip.check = 0;
	word = (void *)&p->ip;
#pragma unroll
	for (int i = 0; i < sizeof(p->ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	p->ip.check = ~(sum + (sum >> 16));
	return bpf_xdp_adjust_tail(ctx, by) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp.frags") int cut(struct xdp_md *ctx)
{
	return resize(ctx, -4);
}

SEC("xdp.frags") int grow(struct xdp_md *ctx)
{
	return resize(ctx, 256);
}

/* Removes the VLAN tag if it is in the frame. */
SEC("xdp.frags") int untag(struct xdp_md *ctx)
{
	struct {
		struct ethhdr eth;
		__be16 tci, proto;
	} __attribute__((packed)) *tagged = (void *)(long)ctx->data;
	__be32 addresses[3];

	if ((void *)(tagged + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (tagged->eth.h_proto != htons(ETH_P_8021Q))
		return XDP_PASS;
	__builtin_memcpy(addresses, tagged, sizeof(addresses));
	__builtin_memcpy((void *)tagged + 4, addresses, sizeof(addresses));
	return bpf_xdp_adjust_head(ctx, 4) ? XDP_ABORTED : XDP_PASS;
}

char terms[] SEC("license") = "GPL";
