// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps a test kernel alive on an emulated CPU that executes a breakpoint after the
 * kernel has replaced it.
 *
 * The kernel changes its own code, for static keys among others, with a temporary
 * int3 (smp_text_poke_batch_finish()). With multi-threaded TCG, a CPU can continue to
 * execute the translation of the int3 after the instruction is complete again. No
 * handler knows this int3, and the kernel dies of "Oops: int3".
 *
 * An int3 exception at an address that holds no int3 can have no other cause. The
 * instruction is executed again, until the CPU translates it anew.
 */

#include <linux/atomic.h>
#include <linux/kdebug.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/ptrace.h>
#include <linux/sysfs.h>
#include <linux/text-patching.h>

static atomic_t repeated;

static int repeat_stale(struct notifier_block *block, unsigned long event, void *data)
{
	struct die_args *args = data;
	struct pt_regs *regs = args->regs;
	const u8 *at = (const u8 *)(regs->ip - INT3_INSN_SIZE);

	if (event != DIE_INT3 || user_mode(regs) || READ_ONCE(*at) == INT3_INSN_OPCODE)
		return NOTIFY_DONE;
	atomic_inc(&repeated);
	regs->ip = (unsigned long)at;
	return NOTIFY_STOP;
}
NOKPROBE_SYMBOL(repeat_stale);

static struct notifier_block repeat_stale_block = {
	.notifier_call = repeat_stale,
};

static int get_repeated(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&repeated));
}

static const struct kernel_param_ops repeated_ops = {
	.get = get_repeated,
};

module_param_cb(repeated, &repeated_ops, NULL, 0444);
MODULE_PARM_DESC(repeated, "Instructions that were executed again");

static int __init stale_int3_init(void)
{
	return register_die_notifier(&repeat_stale_block);
}

static void __exit stale_int3_exit(void)
{
	unregister_die_notifier(&repeat_stale_block);
}

module_init(stale_int3_init);
module_exit(stale_int3_exit);
MODULE_DESCRIPTION("Repeats breakpoints that an emulated CPU executes too late");
MODULE_LICENSE("GPL");
