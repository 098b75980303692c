// SPDX-License-Identifier: GPL-2.0

#include <linux/module.h>

#include "helpers.h"

/* Keeps this module from being unloaded. */
void toe_helper_module_get(void)
{
	__module_get(THIS_MODULE);
}

void toe_helper_module_put(void)
{
	module_put(THIS_MODULE);
}
