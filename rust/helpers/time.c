// SPDX-License-Identifier: GPL-2.0

#include <linux/jiffies.h>

#include "helpers.h"

unsigned int toe_helper_jiffies_to_msecs(unsigned long j)
{
	return jiffies_to_msecs(j);
}
