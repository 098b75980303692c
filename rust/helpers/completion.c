// SPDX-License-Identifier: GPL-2.0

#include <linux/completion.h>

#include "helpers.h"

void toe_helper_init_completion(struct completion *completion)
{
	init_completion(completion);
}
