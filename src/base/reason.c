/* SPDX-License-Identifier: BSD-2-Clause */
/* The last refusal's text per thread, and the names and short texts of all codes. Any thread; allocates nothing. */
#include "base/reason.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sys/rsm/rsm_common.h>

#include "base/probe.h"

static _Thread_local char reason[BASE_REASON_MAX];
static _Thread_local const char *plain; /* a fixed text instead of `reason`, or NULL */

/* The text is made aside first: an argument may be base_reason() itself. errno stays the caller's. */
__attribute__((format(printf, 3, 0))) static void reason_set(int code, int error, const char *format,
							     va_list arguments)
{
	char text[BASE_REASON_MAX];
	char buffer[128];
	int kept = errno;
	int length = vsnprintf(text, sizeof(text), format, arguments);
	size_t used = length < 0 ? 0 : (size_t)length;

	if (length < 0)
		text[0] = '\0';
	if (error && used < sizeof(text) - 1)
		snprintf(text + used, sizeof(text) - used, ": %s", strerror_r(error, buffer, sizeof(buffer)));
	BASE_PROBE2(error, code, text);
	memcpy(reason, text, sizeof(reason));
	plain = NULL;
	errno = kept;
}

int base_refuse_plain(int code, const char *text)
{
	BASE_PROBE2(error, code, text);
	plain = text;
	return code;
}

int base_refuse(int code, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reason_set(code, 0, format, arguments);
	va_end(arguments);
	return code;
}

int base_refuse_errno(int code, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	reason_set(code, error, format, arguments);
	va_end(arguments);
	return code;
}

const char *base_reason(void)
{
	if (plain)
		return plain;
	return reason;
}

struct code {
	const char *name;
	const char *text;
};

/* clang-format off */
#define CODE(code, text) [code] = { #code, text }

static const struct code codes[] = {
	CODE(RSM_SUCCESS, "success"),
	CODE(RSMERR_BAD_LIBRARY_VERSION, "library and service are of incompatible versions"),
	CODE(RSMERR_BAD_TOPOLOGY_PTR, "NULL pointer for the topology"),
	CODE(RSMERR_BAD_CTLR_HNDL, "not a controller handle of this process"),
	CODE(RSMERR_CTLR_NOT_PRESENT, "no such controller, or it does not reach that node"),
	CODE(RSMERR_BAD_SEG_HNDL, "not a segment handle of this process and kind"),
	CODE(RSMERR_SEG_ALREADY_PUBLISHED, "segment is published already"),
	CODE(RSMERR_SEG_NOT_PUBLISHED, "segment is not published"),
	CODE(RSMERR_SEG_NOT_PUBLISHED_TO_NODE, "segment is not published to this node"),
	CODE(RSMERR_SEG_ALREADY_MAPPED, "segment is mapped already"),
	CODE(RSMERR_SEG_STILL_MAPPED, "segment is still mapped"),
	CODE(RSMERR_SEG_NOT_MAPPED, "segment is not mapped"),
	CODE(RSMERR_NOT_CREATOR, "another process created the segment"),
	CODE(RSMERR_BAD_BARRIER_PTR, "NULL pointer for the barrier"),
	CODE(RSMERR_BAD_SGIO, "invalid vector, or count of entries not 1 to 16"),
	CODE(RSMERR_BAD_LOCALMEM_HNDL, "not a local memory handle of this process"),
	CODE(RSMERR_BAD_ADDR, "invalid address, or memory that cannot be used so"),
	CODE(RSMERR_BAD_MEM_ALIGNMENT, "address, length or offset is not aligned"),
	CODE(RSMERR_BAD_OFFSET, "offset or range outside the segment"),
	CODE(RSMERR_MISALIGNED_OFFSET, "offset is not aligned"),
	CODE(RSMERR_BAD_LENGTH, "length is zero, too large or not the segment's"),
	CODE(RSMERR_BAD_ACL, "invalid access list"),
	CODE(RSMERR_BAD_SEGID, "NULL pointer for the segment id"),
	CODE(RSMERR_RESERVED_SEGID, "segment id is in a reserved range"),
	CODE(RSMERR_SEGID_IN_USE, "segment id is published on this node already"),
	CODE(RSMERR_BAD_MODE, "unknown barrier mode"),
	CODE(RSMERR_BAD_PERMS, "right is malformed or not granted to the connection"),
	CODE(RSMERR_PERM_DENIED, "permission denied"),
	CODE(RSMERR_LOCKS_NOT_SUPPORTED, "locks are not supported"),
	CODE(RSMERR_LOCKS_NOT_ENABLED, "locks are not enabled"),
	CODE(RSMERR_REBIND_NOT_ALLOWED, "segment was created without RSM_ALLOW_REBIND"),
	CODE(RSMERR_INSUFFICIENT_RESOURCES, "no segment slot, id or descriptor left"),
	CODE(RSMERR_INSUFFICIENT_MEM, "not enough memory, or limit of exported memory reached"),
	CODE(RSMERR_MAP_FAILED, "mapping failed"),
	CODE(RSMERR_POLLFD_IN_USE, "poll descriptor is still referenced"),
	CODE(RSMERR_BARRIER_UNINITIALIZED, "barrier is not initialised"),
	CODE(RSMERR_BARRIER_OPEN_FAILED, "interconnect refused to open the barrier"),
	CODE(RSMERR_BARRIER_NOT_OPENED, "barrier is not open"),
	CODE(RSMERR_BARRIER_FAILURE, "interconnect failed within the barrier"),
	CODE(RSMERR_REMOTE_NODE_UNREACHABLE, "no path to the node"),
	CODE(RSMERR_CONN_ABORTED, "connection was aborted: the segment was withdrawn or its owner is gone"),
	CODE(RSMERR_INTERRUPTED, "interrupted by a signal, or by the exporter's withdrawal"),
	CODE(RSMERR_TIMEOUT, "timed out"),
	CODE(RSMERR_BAD_APPID, "no entry for the application in the segment id file"),
	CODE(RSMERR_BAD_CONF, "segment id file is missing or malformed"),
	CODE(RSMERR_SEG_NOT_CONNECTED, "segment is not connected"),
	CODE(RSMERR_INTERNAL_ERROR, "internal error"),
	CODE(RSMERR_BAD_DRIVER_VERSION, "bad driver version"),
	CODE(RSMERR_UNSUPPORTED_VERSION, "unsupported version"),
	CODE(RSMERR_DRIVER_NAME_IN_USE, "driver name is in use"),
	CODE(RSMERR_DRIVER_NOT_REGISTERED, "driver is not registered"),
	CODE(RSMERR_DRIVER_THREAD_RUNNING, "driver thread is running"),
	CODE(RSMERR_NEED_THREAD_INIT, "thread must be initialised first"),
	CODE(RSMERR_THREAD_NOT_INITED, "thread is not initialised"),
	CODE(RSMERR_CTLRS_REGISTERED, "controllers are still registered"),
	CODE(RSMERR_CTLR_NOT_REGISTERED, "controller is not registered"),
	CODE(RSMERR_CTLR_ALREADY_REGISTERED, "controller is registered already"),
	CODE(RSMERR_CTLR_IN_USE, "controller is in use"),
	CODE(RSMERR_NAME_TOO_LONG, "name is too long"),
	CODE(RSMERR_SEG_PUBLISHED, "segment is published"),
	CODE(RSMERR_SEG_NOT_PUBLISHED_TO_RSM_ADDR, "segment is not published to this hardware address"),
	CODE(RSMERR_SEG_IN_USE, "segment is in use"),
	CODE(RSMERR_BAD_SENDQ_HNDL, "invalid send queue handle"),
	CODE(RSMERR_BAD_ARGS_ERRORS, "invalid arguments"),
	CODE(RSMERR_BAD_MSTYPE, "invalid memory segment type"),
	CODE(RSMERR_NO_BACKING_MEM, "no memory is bound"),
	CODE(RSMERR_NOT_MEM, "not memory"),
	CODE(RSMERR_MEM_ALREADY_BOUND, "memory is bound already"),
	CODE(RSMERR_MEM_NOT_BOUND, "memory is not bound"),
	CODE(RSMERR_HANDLER_NOT_REGISTERED, "handler is not registered"),
	CODE(RSMERR_NO_HANDLER, "no handler"),
	CODE(RSMERR_UNBIND_REBIND_NOT_ALLOWED, "unbind and rebind are not allowed"),
	CODE(RSMERR_CALLBACKS_NOT_SUPPORTED, "callbacks are not supported"),
	CODE(RSMERR_UNSUPPORTED_OPERATION, "unsupported operation"),
	CODE(RSMERR_RSM_ADDR_UNREACHABLE, "hardware address is unreachable"),
	CODE(RSMERR_UNKNOWN_RSM_ADDR, "unknown hardware address"),
	CODE(RSMERR_BAD_BARRIER_HNDL, "invalid barrier handle"),
	CODE(RSMERR_COMM_ERR_MAYBE_DELIVERED, "communication failed, message may be delivered"),
	CODE(RSMERR_COMM_ERR_NOT_DELIVERED, "communication failed, message was not delivered"),
	CODE(RSMERR_QUEUE_FENCE_UP, "queue is fenced"),
	CODE(RSMERR_QUEUE_FULL, "queue is full"),
};
/* clang-format on */

/* NULL for a number that is no code. */
static const struct code *code_find(int code)
{
	/* A negative code becomes a large index. */
	if ((size_t)code >= sizeof(codes) / sizeof(codes[0]) || !codes[code].name)
		return NULL;
	return &codes[code];
}

const char *base_code_name(int code)
{
	const struct code *found = code_find(code);

	return found ? found->name : "RSMERR_?";
}

const char *base_code_text(int code)
{
	const struct code *found = code_find(code);

	return found ? found->text : "unknown error number";
}
