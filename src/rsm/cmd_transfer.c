/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm get, rsm put: bytes between a segment and a file. In explicit mode, a barrier around every piece, so that
 * what was written to the file or taken from it is known to be right piece by piece.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "rsm/tool.h"

#define TRANSFER_PIECE ((size_t)4 << 20) /* bytes between two barriers */

const char cmd_get_help[] = "Usage: rsm get [OPTION]... [NODE:]ID\n"
			    "\n"
			    "Copies from a segment to standard output.\n"
			    "\n"
			    "  -o, --offset N         byte of the segment to begin at, default 0\n"
			    "  -l, --length N         bytes, default all up to the segment's end\n"
			    "  -O, --output FILE      instead of standard output\n"
			    "  -c, --controller NAME  default: one that leads to NODE\n"
			    "  -h, --help             this text\n"
			    "\n"
			    "Example:\n"
			    "  rsm get 1:0x400000 --offset 4k --length 1MiB | sha256sum\n";

const char cmd_put_help[] = "Usage: rsm put [OPTION]... [NODE:]ID\n"
			    "\n"
			    "Copies standard input, up to its end, into a segment.\n"
			    "\n"
			    "  -o, --offset N         byte of the segment to begin at, default 0\n"
			    "  -l, --length N         bytes; it is an error when the input has fewer\n"
			    "  -I, --input FILE       instead of standard input\n"
			    "  -s, --signal           post a signal to the exporter when all is written\n"
			    "  -c, --controller NAME  default: one that leads to NODE\n"
			    "  -h, --help             this text\n"
			    "\n"
			    "Example:\n"
			    "  echo hello | rsm put 0x400000 --offset 64 --signal\n";

struct transfer {
	const char *address_text, *file, *controller;
	struct tool_address address;
	uint64_t offset, length;
	bool has_length, signal;
};

/* Returns -1 to go on, else the exit code. `shorts` and `longs` tell get from put. */
static int parse(const struct tool_command *command, int argc, char **argv, const char *shorts,
		 const struct option *longs, struct transfer *transfer)
{
	for (int option; (option = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
		switch (option) {
		case 'o':
			if (!tool_parse_size(optarg, &transfer->offset))
				return tool_usage(command, "'%s' is not an offset such as 4096 or 4k",
						  optarg);
			break;
		case 'l':
			if (!tool_parse_size(optarg, &transfer->length))
				return tool_usage(command, "'%s' is not a length such as 4096 or 4k", optarg);
			transfer->has_length = true;
			break;
		case 'I':
		case 'O':
			transfer->file = optarg;
			break;
		case 's':
			transfer->signal = true;
			break;
		case 'c':
			transfer->controller = optarg;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, option, argv, longs);
		}
	}
	if (optind + 1 != argc)
		return tool_usage(command, "one segment expected");
	transfer->address_text = argv[optind];
	if (!tool_parse_address(argv[optind], &transfer->address))
		return tool_usage(command, "'%s' is not a segment such as 1:0x400000", argv[optind]);
	return -1;
}

/* Connects and settles which bytes are meant; beyond the segment's end is refused before anything moves. */
static int begin(struct transfer *transfer, struct tool_session *session, rsm_permission_t permission)
{
	int result = tool_session_open(session, transfer->controller);
	if (result == TOOL_OK)
		result = tool_session_connect(session, &transfer->address, permission);
	if (result != TOOL_OK)
		return result;
	if (transfer->offset > session->length)
		return tool_fail("%s: offset %ju is beyond the segment's end at %zu", transfer->address_text,
				 (uintmax_t)transfer->offset, session->length);
	uint64_t rest = session->length - transfer->offset;
	if (transfer->has_length && transfer->length > rest)
		return tool_fail("%s: length %ju at offset %ju ends beyond the segment's end at %zu",
				 transfer->address_text, (uintmax_t)transfer->length,
				 (uintmax_t)transfer->offset, session->length);
	if (!transfer->has_length)
		transfer->length = rest;
	int code = rsm_memseg_import_set_mode(session->import, RSM_BARRIER_MODE_EXPLICIT);
	return code == RSM_SUCCESS ? TOOL_OK : tool_fail_code(code, "use %s", transfer->address_text);
}

/* One piece inside one barrier. */
static int move_piece(struct tool_session *session, bool put, uint64_t offset, void *buffer, size_t length)
{
	int code = rsm_memseg_import_open_barrier(&session->barrier);
	if (code != RSM_SUCCESS)
		return code;
	int moved = put ? rsm_memseg_import_put(session->import, (off_t)offset, buffer, length)
			: rsm_memseg_import_get(session->import, (off_t)offset, buffer, length);
	code = rsm_memseg_import_close_barrier(&session->barrier);
	return moved != RSM_SUCCESS ? moved : code;
}

/* Fills the buffer as far as the input reaches. Returns the bytes, or a negative errno. */
static ssize_t read_all(int fd, char *buffer, size_t length)
{
	size_t done = 0;
	while (done < length) {
		ssize_t got = read(fd, buffer + done, length - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int get_loop(const struct transfer *transfer, struct tool_session *session, int fd, char *buffer,
		    struct tool_progress *progress)
{
	for (uint64_t done = 0; done < transfer->length;) {
		uint64_t rest = transfer->length - done;
		size_t piece = rest < TRANSFER_PIECE ? (size_t)rest : TRANSFER_PIECE;
		int code = move_piece(session, false, transfer->offset + done, buffer, piece);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "get %zu bytes at offset %ju of %s", piece,
					      (uintmax_t)(transfer->offset + done), transfer->address_text);
		int error = base_fd_write(fd, buffer, piece, -1);
		if (error)
			return tool_fail_errno(error, "write %s",
					       transfer->file ? transfer->file : "standard output");
		done += piece;
		tool_progress_update(progress, done);
	}
	return TOOL_OK;
}

/* Says whether input is left when the place for it is used up. */
static int put_end(const struct transfer *transfer, int fd, const char *input, uint64_t done)
{
	char more;
	if (transfer->has_length) {
		if (done < transfer->length)
			return tool_fail("put to %s: %s ended after %ju of %ju bytes", transfer->address_text,
					 input, (uintmax_t)done, (uintmax_t)transfer->length);
		return TOOL_OK;
	}
	if (done == transfer->length && read_all(fd, &more, 1) > 0)
		return tool_fail(
			"put to %s: %s goes on beyond the segment's end; the first %ju bytes were written",
			transfer->address_text, input, (uintmax_t)done);
	return TOOL_OK;
}

static int put_loop(const struct transfer *transfer, struct tool_session *session, int fd, char *buffer,
		    struct tool_progress *progress)
{
	const char *input = transfer->file ? transfer->file : "standard input";
	uint64_t done = 0;
	while (done < transfer->length) {
		uint64_t rest = transfer->length - done;
		ssize_t got = read_all(fd, buffer, rest < TRANSFER_PIECE ? (size_t)rest : TRANSFER_PIECE);
		if (got < 0)
			return tool_fail_errno((int)-got, "read %s", input);
		if (got == 0)
			break;
		int code = move_piece(session, true, transfer->offset + done, buffer, (size_t)got);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "put %zd bytes at offset %ju of %s", got,
					      (uintmax_t)(transfer->offset + done), transfer->address_text);
		done += (uint64_t)got;
		tool_progress_update(progress, done);
	}
	int result = put_end(transfer, fd, input, done);
	if (result == TOOL_OK && transfer->signal) {
		int code = rsm_intr_signal_post(session->import, 0);
		if (code != RSM_SUCCESS)
			return tool_fail_code(code, "signal the exporter of %s", transfer->address_text);
	}
	return result;
}

static int transfer_run(struct transfer *transfer, bool put)
{
	struct tool_session session;
	struct tool_progress progress = {0};
	char *buffer = NULL;
	int fd = -1, result = begin(transfer, &session, put ? RSM_PERM_WRITE : RSM_PERM_READ);
	if (result != TOOL_OK)
		goto out;
	if (!transfer->file)
		fd = put ? STDIN_FILENO : STDOUT_FILENO;
	else
		fd = open(transfer->file,
			  put ? O_RDONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		result = tool_fail_errno(errno, "open %s", transfer->file);
		goto out;
	}
	buffer = malloc(TRANSFER_PIECE);
	if (!buffer) {
		result = tool_fail_errno(errno, "memory for %zu bytes", TRANSFER_PIECE);
		goto out;
	}
	tool_progress_begin(&progress, put && !transfer->has_length ? 0 : transfer->length);
	result = put ? put_loop(transfer, &session, fd, buffer, &progress)
		     : get_loop(transfer, &session, fd, buffer, &progress);
	tool_progress_clear();
out:
	free(buffer);
	if (transfer->file && fd >= 0 && close(fd) != 0 && result == TOOL_OK)
		result = tool_fail_errno(errno, "close %s", transfer->file);
	tool_session_close(&session);
	return result;
}

int cmd_get(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {
		{"offset", required_argument, NULL, 'o'}, {"length", required_argument, NULL, 'l'},
		{"output", required_argument, NULL, 'O'}, {"controller", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
	struct transfer transfer = {0};
	int result = parse(command, argc, argv, ":o:l:O:c:h", options, &transfer);
	return result >= 0 ? result : transfer_run(&transfer, false);
}

int cmd_put(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"offset", required_argument, NULL, 'o'},
						{"length", required_argument, NULL, 'l'},
						{"input", required_argument, NULL, 'I'},
						{"signal", no_argument, NULL, 's'},
						{"controller", required_argument, NULL, 'c'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct transfer transfer = {0};
	int result = parse(command, argc, argv, ":o:l:I:sc:h", options, &transfer);
	return result >= 0 ? result : transfer_run(&transfer, true);
}
