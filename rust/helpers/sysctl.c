// SPDX-License-Identifier: GPL-2.0
/*
 * net.toe.*, in each network namespace.
 */

#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "tcp_helpers.h"

struct toe_net {
	struct ctl_table_header *header;
	int enable;
	unsigned long min_bytes;
};

static unsigned int toe_net_id;
static const int toe_enable_max = 2;

/* What is delegated comes back when delegation is switched off. */
static int toe_enable_handler(const struct ctl_table *table, int write, void *buffer,
			      size_t *lenp, loff_t *ppos)
{
	int err = proc_dointvec_minmax(table, write, buffer, lenp, ppos);

	if (write && !err)
		toe_watch_changed();
	return err;
}

static const struct ctl_table toe_table[] = {
	{
		.procname	= "enable",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= toe_enable_handler,
		.extra1		= SYSCTL_ZERO,
		.extra2		= (void *)&toe_enable_max,
	},
	{
		.procname	= "min_bytes",
		.maxlen		= sizeof(unsigned long),
		.mode		= 0644,
		.proc_handler	= proc_doulongvec_minmax,
	},
};

static int __net_init toe_net_init(struct net *net)
{
	struct toe_net *tn = net_generic(net, toe_net_id);
	struct ctl_table *table;

	/* Automatic: a connection is worth a hand-over once it has carried 64 KiB. */
	tn->enable = 2;
	tn->min_bytes = 64 * 1024;

	table = kmemdup(toe_table, sizeof(toe_table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	table[0].data = &tn->enable;
	table[1].data = &tn->min_bytes;
	tn->header = register_net_sysctl_sz(net, "net/toe", table, ARRAY_SIZE(toe_table));
	if (!tn->header) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

static void __net_exit toe_net_exit(struct net *net)
{
	struct toe_net *tn = net_generic(net, toe_net_id);
	const struct ctl_table *table = tn->header->ctl_table_arg;

	unregister_net_sysctl_table(tn->header);
	kfree(table);
}

static struct pernet_operations toe_net_ops = {
	.init	= toe_net_init,
	.exit	= toe_net_exit,
	.id	= &toe_net_id,
	.size	= sizeof(struct toe_net),
};

int toe_helper_sysctl_register(void)
{
	return register_pernet_subsys(&toe_net_ops);
}

void toe_helper_sysctl_unregister(void)
{
	unregister_pernet_subsys(&toe_net_ops);
}

/* 0: nothing is delegated, 1: what asks for it, 2: what the policy selects, too. */
int toe_helper_sysctl_enable(const struct net *net)
{
	const struct toe_net *tn = net_generic(net, toe_net_id);

	return READ_ONCE(tn->enable);
}

/* Payload, both ways, that a connection has to have carried. */
unsigned long toe_helper_sysctl_min_bytes(const struct net *net)
{
	const struct toe_net *tn = net_generic(net, toe_net_id);

	return READ_ONCE(tn->min_bytes);
}
