// SPDX-License-Identifier: GPL-2.0

#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "helpers.h"

void toe_helper_INIT_DELAYED_WORK(struct delayed_work *work, work_func_t func, const char *name,
				  struct lock_class_key *key)
{
	INIT_DELAYED_WORK(work, func);
#ifdef CONFIG_LOCKDEP
	lockdep_init_map(&work->work.lockdep_map, name, key, 0);
#endif
}

void toe_helper_schedule_delayed_work(struct delayed_work *work, unsigned int msecs)
{
	schedule_delayed_work(work, msecs_to_jiffies(msecs));
}
