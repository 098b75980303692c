// SPDX-License-Identifier: GPL-2.0
/*
 * The sysctls net.toe.* of each network namespace.
 */

#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "tcp_helpers.h"

struct toe_net {
	struct ctl_table_header *header;
	int enable;
	unsigned long min_bytes;
	unsigned int max_user_connections;
};

enum toe_net_state {
	TOE_NET_UNREGISTERED,
	TOE_NET_REGISTERING,
	TOE_NET_REGISTERED,
};

/* While it is TOE_NET_REGISTERED each namespace has its struct toe_net. */
static int toe_net_state;
static unsigned int toe_net_id;
static const int toe_enable_max = 2;

/* Connections return to Linux when delegation is switched off. */
static int toe_enable_handler(const struct ctl_table *table, int write, void *buffer,
			      size_t *lenp, loff_t *ppos)
{
	int err = proc_dointvec_minmax(table, write, buffer, lenp, ppos);

	if (write && !err)
		toe_notify();
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
	{
		.procname	= "max_user_connections",
		.maxlen		= sizeof(unsigned int),
		.mode		= 0644,
		.proc_handler	= proc_douintvec,
	},
};

static int __net_init toe_net_init(struct net *net)
{
	struct toe_net *tn = net_generic(net, toe_net_id);
	struct ctl_table *table;

	/* Delegate connections automatically once they have carried 64 KiB. */
	tn->enable = 2;
	tn->min_bytes = 64 * 1024;

	table = kmemdup(toe_table, sizeof(toe_table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	table[0].data = &tn->enable;
	table[1].data = &tn->min_bytes;
	table[2].data = &tn->max_user_connections;
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
	int err;

	if (cmpxchg(&toe_net_state, TOE_NET_UNREGISTERED, TOE_NET_REGISTERING) !=
	    TOE_NET_UNREGISTERED)
		return -EBUSY;
	err = register_pernet_subsys(&toe_net_ops);
	smp_store_release(&toe_net_state, err ? TOE_NET_UNREGISTERED : TOE_NET_REGISTERED);
	return err;
}

void toe_helper_sysctl_unregister(void)
{
	WRITE_ONCE(toe_net_state, TOE_NET_REGISTERING);
	/* Readers that saw TOE_NET_REGISTERED are in an RCU read-side section. */
	synchronize_rcu();
	unregister_pernet_subsys(&toe_net_ops);
	smp_store_release(&toe_net_state, TOE_NET_UNREGISTERED);
}

static const struct toe_net *toe_net(const struct net *net)
{
	if (smp_load_acquire(&toe_net_state) != TOE_NET_REGISTERED)
		return NULL;
	return net_generic(net, toe_net_id);
}

/*
 * 0: no connection is delegated, 1: those whose application asks for it, 2: those
 * that the policy selects as well. 0 while the sysctls are not registered.
 */
int toe_helper_sysctl_enable(const struct net *net)
{
	guard(rcu)();
	const struct toe_net *tn = toe_net(net);

	return tn ? READ_ONCE(tn->enable) : 0;
}

/* Bytes of payload in both directions that make a connection worth a hand-over. */
unsigned long toe_helper_sysctl_min_bytes(const struct net *net)
{
	guard(rcu)();
	const struct toe_net *tn = toe_net(net);

	return tn ? READ_ONCE(tn->min_bytes) : 0;
}

/* Connections that one user may have delegated at a time, 0 for no limit. */
unsigned int toe_helper_sysctl_max_user_connections(const struct net *net)
{
	guard(rcu)();
	const struct toe_net *tn = toe_net(net);

	return tn ? READ_ONCE(tn->max_user_connections) : 0;
}
