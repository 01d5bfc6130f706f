/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm keygen: the key that the nodes of a cluster share. Asks no daemon. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/key.h"
#include "base/reason.h"
#include "rsm/tool.h"

const char cmd_keygen_help[] =
	"Usage: rsm keygen [FILE]\n"
	"\n"
	"Writes a fresh key for the daemons of a cluster to FILE, which must not exist yet and which only\n"
	"you can read. Without FILE, or with -, it goes to standard output. Whoever has the key can be a\n"
	"node: copy it over a safe way only. Every node has the same key, and names it in rsmd.conf.\n"
	"\n"
	"  -h, --help  this text\n"
	"\n"
	"Example:\n"
	"  rsm keygen /etc/rsm/cluster.key\n"
	"  scp -p /etc/rsm/cluster.key node2:/etc/rsm/cluster.key\n";

/* All or nothing: a file with half a key is removed. */
static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return tool_fail(
			"%s exists, and a key in use must not be lost: remove it first, or name another file",
			path);
	if (fd < 0)
		return tool_fail_errno(errno, "make the key file %s", path);
	int error = fchmod(fd, 0600) < 0 ? errno : base_fd_write(fd, text, strlen(text), -1);
	if (!error && fsync(fd) < 0 && errno != EINVAL)
		error = errno;
	if (close(fd) < 0 && !error)
		error = errno;
	if (!error)
		return TOOL_OK;
	unlink(path);
	return tool_fail_errno(error, "write the key file %s", path);
}

int cmd_keygen(const struct tool_command *command, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	for (int option; (option = getopt_long(argc, argv, ":h", options, NULL)) != -1;) {
		if (option == 'h')
			return tool_help(command);
		return tool_usage_option(command, option, argv, options);
	}
	if (argc - optind > 1)
		return tool_usage(command, "one file expected, found '%s' as well", argv[optind + 1]);
	const char *path = optind < argc ? argv[optind] : "-";
	char text[256];
	if (base_key_make(text, sizeof(text)) != RSM_SUCCESS)
		return tool_fail("%s", base_reason());
	int result = TOOL_OK;
	if (strcmp(path, "-") == 0)
		fputs(text, stdout);
	else
		result = write_file(path, text);
	explicit_bzero(text, sizeof(text));
	return result;
}
