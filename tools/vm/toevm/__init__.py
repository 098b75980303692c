# SPDX-License-Identifier: GPL-2.0
"""The test bed: a QEMU guest with the adapter."""
