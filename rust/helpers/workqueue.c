// SPDX-License-Identifier: GPL-2.0

#include <linux/workqueue.h>

#include "helpers.h"

struct workqueue_struct *toe_helper_alloc_unbound_workqueue(const char *name, int active)
{
	return alloc_workqueue("%s", WQ_UNBOUND, active, name);
}
