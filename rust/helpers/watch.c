// SPDX-License-Identifier: GPL-2.0
/*
 * Notice of what may concern a delegated connection: addresses, neighbours,
 * redirects, and this module's own settings.
 */

#include <linux/inetdevice.h>
#include <linux/notifier.h>
#include <net/addrconf.h>
#include <net/netevent.h>

#include "tcp_helpers.h"

/* From any context but hard interrupts; must not sleep. */
static void (*toe_changed)(void);

void toe_watch_changed(void)
{
	void (*changed)(void) = READ_ONCE(toe_changed);

	if (changed)
		changed();
}

static int toe_watch_event(struct notifier_block *nb, unsigned long event, void *data)
{
	toe_watch_changed();
	return NOTIFY_DONE;
}

static struct notifier_block toe_netevent = { .notifier_call = toe_watch_event };
static struct notifier_block toe_inetaddr = { .notifier_call = toe_watch_event };
#if IS_ENABLED(CONFIG_IPV6)
static struct notifier_block toe_inet6addr = { .notifier_call = toe_watch_event };
#endif

int toe_helper_watch_register(void (*changed)(void))
{
	int err;

	WRITE_ONCE(toe_changed, changed);
	err = register_netevent_notifier(&toe_netevent);
	if (err)
		goto err_forget;
	err = register_inetaddr_notifier(&toe_inetaddr);
	if (err)
		goto err_netevent;
#if IS_ENABLED(CONFIG_IPV6)
	err = register_inet6addr_notifier(&toe_inet6addr);
	if (err)
		goto err_inetaddr;
#endif
	return 0;

#if IS_ENABLED(CONFIG_IPV6)
err_inetaddr:
	unregister_inetaddr_notifier(&toe_inetaddr);
#endif
err_netevent:
	unregister_netevent_notifier(&toe_netevent);
err_forget:
	WRITE_ONCE(toe_changed, NULL);
	return err;
}

void toe_helper_watch_unregister(void)
{
#if IS_ENABLED(CONFIG_IPV6)
	unregister_inet6addr_notifier(&toe_inet6addr);
#endif
	unregister_inetaddr_notifier(&toe_inetaddr);
	unregister_netevent_notifier(&toe_netevent);
	WRITE_ONCE(toe_changed, NULL);
}
