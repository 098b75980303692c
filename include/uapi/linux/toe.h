/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/* Do not edit directly, auto-generated from: */
/*	Documentation/netlink/specs/toe.yaml */
/* YNL-GEN uapi header */
/* To regenerate run: tools/net/ynl/ynl-regen.sh */

#ifndef _UAPI_LINUX_TOE_H
#define _UAPI_LINUX_TOE_H

#define TOE_FAMILY_NAME		"toe"
#define TOE_FAMILY_VERSION	1

/**
 * enum toe_conn_state - State of a connection.
 * @TOE_CONN_STATE_DELEGATING: The hand-over is in progress; Linux sends no new
 *   payload.
 * @TOE_CONN_STATE_DELEGATED: The adapter carries the connection.
 * @TOE_CONN_STATE_RETURNING: The adapter was asked to return the connection.
 * @TOE_CONN_STATE_LINUX: Linux carries the connection.
 * @TOE_CONN_STATE_LEGACY: The adapter carries the connection and sends its
 *   payload; received frames go through Linux's TCP until both are in step
 *   again.
 */
enum toe_conn_state {
	TOE_CONN_STATE_DELEGATING,
	TOE_CONN_STATE_DELEGATED,
	TOE_CONN_STATE_RETURNING,
	TOE_CONN_STATE_LINUX,
	TOE_CONN_STATE_LEGACY,
};

/**
 * enum toe_return_reason - Reason of a return. Values below 128 are those of
 *   the adapter (Documentation/abi.md). The others are causes of the host,
 *   reported instead of the adapter's "host".
 * @TOE_RETURN_REASON_HOST: The host requested it for a cause that is not
 *   listed below.
 * @TOE_RETURN_REASON_FIN: The peer sent FIN.
 * @TOE_RETURN_REASON_RESET: The peer sent RST.
 * @TOE_RETURN_REASON_SYN: The peer sent SYN. Not used by the adapter of this
 *   tree.
 * @TOE_RETURN_REASON_URGENT: The peer sent urgent data.
 * @TOE_RETURN_REASON_OUT_OF_ORDER: More out-of-order data than the adapter can
 *   hold.
 * @TOE_RETURN_REASON_OPTION: A TCP or IP option that the adapter does not
 *   support.
 * @TOE_RETURN_REASON_FRAGMENT: An IP fragment.
 * @TOE_RETURN_REASON_WINDOW: The peer keeps probing a closed window, or a
 *   window that the host believes to be open.
 * @TOE_RETURN_REASON_TIMEOUT: Too many consecutive retransmission timeouts.
 * @TOE_RETURN_REASON_NO_PAGES: The driver had no memory for receive pages for
 *   too long.
 * @TOE_RETURN_REASON_SUBMISSION: A submission was invalid in the connection's
 *   state, or its memory was inaccessible.
 * @TOE_RETURN_REASON_STOP: The processor was being stopped.
 * @TOE_RETURN_REASON_MOVED: A change of hash or rules assigns the connection
 *   to another processor.
 * @TOE_RETURN_REASON_PRESSURE: The adapter needed the table entry.
 * @TOE_RETURN_REASON_ECN: An ECN mark on a connection that has not negotiated
 *   ECN. Not used by the adapter of this tree.
 * @TOE_RETURN_REASON_GAP: The peer retransmits payload of frames that went to
 *   Linux's TCP and that Linux has not confirmed.
 * @TOE_RETURN_REASON_OUT_OF_STEP: More than 10,000 frames and 10 seconds in
 *   legacy mode without a confirmation of Linux.
 * @TOE_RETURN_REASON_USER: A conn-return request.
 * @TOE_RETURN_REASON_SYSCTL: net.toe.enable was set to 0.
 * @TOE_RETURN_REASON_SHUTDOWN: The application called shutdown().
 * @TOE_RETURN_REASON_CLOSE: The application closed or disconnected the socket.
 * @TOE_RETURN_REASON_SOCKOPT: The application set a socket option that the
 *   adapter cannot honour.
 * @TOE_RETURN_REASON_OOB: The application sent urgent data.
 * @TOE_RETURN_REASON_LINK_DOWN: The interface went down.
 * @TOE_RETURN_REASON_ADDRESS: The local address was removed.
 * @TOE_RETURN_REASON_ROUTE: The route no longer uses the adapter.
 * @TOE_RETURN_REASON_NEIGHBOUR: The next hop's hardware address is no longer
 *   known.
 * @TOE_RETURN_REASON_FILTER: A packet filter, tap or transform was added that
 *   must see the frames.
 * @TOE_RETURN_REASON_DEVICE_LOST: The adapter failed, was reset, unplugged or
 *   its driver unbound.
 * @TOE_RETURN_REASON_INTERFACE: Linux received frames of the peer through
 *   another interface.
 */
enum toe_return_reason {
	TOE_RETURN_REASON_HOST,
	TOE_RETURN_REASON_FIN,
	TOE_RETURN_REASON_RESET,
	TOE_RETURN_REASON_SYN,
	TOE_RETURN_REASON_URGENT,
	TOE_RETURN_REASON_OUT_OF_ORDER,
	TOE_RETURN_REASON_OPTION,
	TOE_RETURN_REASON_FRAGMENT,
	TOE_RETURN_REASON_WINDOW,
	TOE_RETURN_REASON_TIMEOUT,
	TOE_RETURN_REASON_NO_PAGES,
	TOE_RETURN_REASON_SUBMISSION,
	TOE_RETURN_REASON_STOP,
	TOE_RETURN_REASON_MOVED,
	TOE_RETURN_REASON_PRESSURE,
	TOE_RETURN_REASON_ECN,
	TOE_RETURN_REASON_GAP,
	TOE_RETURN_REASON_OUT_OF_STEP,
	TOE_RETURN_REASON_USER = 128,
	TOE_RETURN_REASON_SYSCTL,
	TOE_RETURN_REASON_SHUTDOWN,
	TOE_RETURN_REASON_CLOSE,
	TOE_RETURN_REASON_SOCKOPT,
	TOE_RETURN_REASON_OOB,
	TOE_RETURN_REASON_LINK_DOWN,
	TOE_RETURN_REASON_ADDRESS,
	TOE_RETURN_REASON_ROUTE,
	TOE_RETURN_REASON_NEIGHBOUR,
	TOE_RETURN_REASON_FILTER,
	TOE_RETURN_REASON_DEVICE_LOST,
	TOE_RETURN_REASON_INTERFACE,
};

/**
 * enum toe_refuse_reason - Reason of a refused hand-over. Values below 128 are
 *   those of the adapter (Documentation/abi.md). The others are found by the
 *   host before it asks the adapter.
 * @TOE_REFUSE_REASON_BUSY: The adapter does not know yet which payload the
 *   host has received; the host retries.
 * @TOE_REFUSE_REASON_TABLE_FULL: The connection table is full.
 * @TOE_REFUSE_REASON_EXISTS: The connection is in the table already.
 * @TOE_REFUSE_REASON_WRONG_PROCESSOR: The hash assigns the connection to
 *   another processor.
 * @TOE_REFUSE_REASON_BAD_STATE: The state is inconsistent.
 * @TOE_REFUSE_REASON_UNSUPPORTED: The state requires a function that the
 *   adapter does not have.
 * @TOE_REFUSE_REASON_DISABLED: net.toe.enable is 0.
 * @TOE_REFUSE_REASON_NOT_ESTABLISHED: The connection is not in state
 *   ESTABLISHED.
 * @TOE_REFUSE_REASON_NO_DEVICE: The route does not use an adapter that accepts
 *   connections.
 * @TOE_REFUSE_REASON_NO_NEIGHBOUR: The next hop's hardware address is not
 *   known.
 * @TOE_REFUSE_REASON_CONGESTION_CONTROL: The socket's congestion control is
 *   not one that the adapter runs.
 * @TOE_REFUSE_REASON_AUTHENTICATION: TCP-AO or TCP-MD5 protects the
 *   connection.
 * @TOE_REFUSE_REASON_URGENT: Urgent data is pending.
 * @TOE_REFUSE_REASON_ECN: The connection uses an ECN variant that the adapter
 *   does not support.
 * @TOE_REFUSE_REASON_RECOVERY: Data is being retransmitted.
 * @TOE_REFUSE_REASON_SOCKOPT: A socket option is set that the adapter cannot
 *   honour.
 * @TOE_REFUSE_REASON_ULP: Another upper layer protocol or MPTCP owns the
 *   socket.
 * @TOE_REFUSE_REASON_FILTER: A packet filter, tap or transform must see the
 *   frames.
 * @TOE_REFUSE_REASON_NO_MEMORY: No memory for the host's state, or its
 *   identifier table is full.
 * @TOE_REFUSE_REASON_ADDRESS: The local address is not an address of the host,
 *   as with IP_TRANSPARENT or IP_FREEBIND.
 * @TOE_REFUSE_REASON_INTERFACE: Frames of the peer are received through
 *   another interface.
 * @TOE_REFUSE_REASON_USER_LIMIT: The user has net.toe.max_user_connections
 *   delegated connections.
 */
enum toe_refuse_reason {
	TOE_REFUSE_REASON_BUSY = 1,
	TOE_REFUSE_REASON_TABLE_FULL,
	TOE_REFUSE_REASON_EXISTS,
	TOE_REFUSE_REASON_WRONG_PROCESSOR,
	TOE_REFUSE_REASON_BAD_STATE,
	TOE_REFUSE_REASON_UNSUPPORTED,
	TOE_REFUSE_REASON_DISABLED = 128,
	TOE_REFUSE_REASON_NOT_ESTABLISHED,
	TOE_REFUSE_REASON_NO_DEVICE,
	TOE_REFUSE_REASON_NO_NEIGHBOUR,
	TOE_REFUSE_REASON_CONGESTION_CONTROL,
	TOE_REFUSE_REASON_AUTHENTICATION,
	TOE_REFUSE_REASON_URGENT,
	TOE_REFUSE_REASON_ECN,
	TOE_REFUSE_REASON_RECOVERY,
	TOE_REFUSE_REASON_SOCKOPT,
	TOE_REFUSE_REASON_ULP,
	TOE_REFUSE_REASON_FILTER,
	TOE_REFUSE_REASON_NO_MEMORY,
	TOE_REFUSE_REASON_ADDRESS,
	TOE_REFUSE_REASON_INTERFACE,
	TOE_REFUSE_REASON_USER_LIMIT,
};

/**
 * enum toe_direction - Direction of frames through the port.
 * @TOE_DIRECTION_EGRESS: To the wire.
 * @TOE_DIRECTION_INGRESS: From the wire.
 */
enum toe_direction {
	TOE_DIRECTION_EGRESS = 1,
	TOE_DIRECTION_INGRESS = 2,
};

enum {
	TOE_A_CONN_IFINDEX = 1,
	TOE_A_CONN_PROCESSOR,
	TOE_A_CONN_HOST_ID,
	TOE_A_CONN_DEVICE_ID,
	TOE_A_CONN_FAMILY,
	TOE_A_CONN_LOCAL_ADDRESS,
	TOE_A_CONN_REMOTE_ADDRESS,
	TOE_A_CONN_LOCAL_PORT,
	TOE_A_CONN_REMOTE_PORT,
	TOE_A_CONN_COOKIE,
	TOE_A_CONN_UID,
	TOE_A_CONN_STATE,
	TOE_A_CONN_SENT,
	TOE_A_CONN_RECEIVED,
	TOE_A_CONN_AGE,
	TOE_A_CONN_REASON,
	TOE_A_CONN_ALL,
	TOE_A_CONN_DETAIL,

	__TOE_A_CONN_MAX,
	TOE_A_CONN_MAX = (__TOE_A_CONN_MAX - 1)
};

enum {
	TOE_A_REFUSED_REASON = 1,
	TOE_A_REFUSED_COUNT,

	__TOE_A_REFUSED_MAX,
	TOE_A_REFUSED_MAX = (__TOE_A_REFUSED_MAX - 1)
};

enum {
	TOE_A_RETURNED_REASON = 1,
	TOE_A_RETURNED_COUNT,

	__TOE_A_RETURNED_MAX,
	TOE_A_RETURNED_MAX = (__TOE_A_RETURNED_MAX - 1)
};

enum {
	TOE_A_STATS_IFINDEX = 1,
	TOE_A_STATS_CONNECTIONS,
	TOE_A_STATS_CAPACITY,
	TOE_A_STATS_DELEGATED,
	TOE_A_STATS_SENT,
	TOE_A_STATS_RECEIVED,
	TOE_A_STATS_REFUSED,
	TOE_A_STATS_RETURNED,

	__TOE_A_STATS_MAX,
	TOE_A_STATS_MAX = (__TOE_A_STATS_MAX - 1)
};

enum {
	TOE_A_IMPAIR_IFINDEX = 1,
	TOE_A_IMPAIR_DIRECTIONS,
	TOE_A_IMPAIR_LOSS,
	TOE_A_IMPAIR_DUPLICATE,
	TOE_A_IMPAIR_REORDER,
	TOE_A_IMPAIR_CORRUPT,
	TOE_A_IMPAIR_DELAY,
	TOE_A_IMPAIR_JITTER,
	TOE_A_IMPAIR_RATE,
	TOE_A_IMPAIR_SEED,

	__TOE_A_IMPAIR_MAX,
	TOE_A_IMPAIR_MAX = (__TOE_A_IMPAIR_MAX - 1)
};

enum {
	TOE_CMD_CONN_GET = 1,
	TOE_CMD_CONN_DELEGATED_NTF,
	TOE_CMD_CONN_RETURNED_NTF,
	TOE_CMD_CONN_OFFLOAD,
	TOE_CMD_CONN_RETURN,
	TOE_CMD_STATS_GET,
	TOE_CMD_IMPAIR_SET,

	__TOE_CMD_MAX,
	TOE_CMD_MAX = (__TOE_CMD_MAX - 1)
};

#define TOE_MCGRP_CONN	"conn"

#endif /* _UAPI_LINUX_TOE_H */
