// SPDX-License-Identifier: GPL-2.0
/*
 * Notifications of changes that may concern a delegated connection: addresses,
 * neighbours, redirects, and this module's own settings.
 */

#include <linux/inetdevice.h>
#include <linux/notifier.h>
#include <linux/rcupdate.h>
#include <net/addrconf.h>
#include <net/netevent.h>

#include "tcp_helpers.h"

/* Called from any context but hard interrupts, in an RCU read-side section. */
static void (*toe_notifier)(void);

void toe_notify(void)
{
	void (*changed)(void);

	rcu_read_lock();
	changed = READ_ONCE(toe_notifier);
	if (changed)
		changed();
	rcu_read_unlock();
}

static int toe_notifier_call(struct notifier_block *nb, unsigned long event, void *data)
{
	toe_notify();
	return NOTIFY_DONE;
}

static struct notifier_block toe_netevent_nb = { .notifier_call = toe_notifier_call };
static struct notifier_block toe_inetaddr_nb = { .notifier_call = toe_notifier_call };
#if IS_ENABLED(CONFIG_IPV6)
static struct notifier_block toe_inet6addr_nb = { .notifier_call = toe_notifier_call };
#endif

int toe_helper_notifier_register(void (*changed)(void))
{
	int err;

	if (cmpxchg(&toe_notifier, NULL, changed))
		return -EBUSY;
	err = register_netevent_notifier(&toe_netevent_nb);
	if (err)
		goto err_clear;
	err = register_inetaddr_notifier(&toe_inetaddr_nb);
	if (err)
		goto err_netevent;
#if IS_ENABLED(CONFIG_IPV6)
	err = register_inet6addr_notifier(&toe_inet6addr_nb);
	if (err)
		goto err_inetaddr;
#endif
	return 0;

#if IS_ENABLED(CONFIG_IPV6)
err_inetaddr:
	unregister_inetaddr_notifier(&toe_inetaddr_nb);
#endif
err_netevent:
	unregister_netevent_notifier(&toe_netevent_nb);
err_clear:
	WRITE_ONCE(toe_notifier, NULL);
	synchronize_rcu();
	return err;
}

void toe_helper_notifier_unregister(void)
{
#if IS_ENABLED(CONFIG_IPV6)
	unregister_inet6addr_notifier(&toe_inet6addr_nb);
#endif
	unregister_inetaddr_notifier(&toe_inetaddr_nb);
	unregister_netevent_notifier(&toe_netevent_nb);
	WRITE_ONCE(toe_notifier, NULL);
	synchronize_rcu();
}
