/* SPDX-License-Identifier: BSD-2-Clause */
/* rsm export: a file's contents as a segment, until a signal ends it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rsm/tool.h"

const char cmd_export_help[] =
	"Usage: rsm export [OPTION]... FILE\n"
	"\n"
	"Reads FILE (- is standard input) into memory, publishes it, prints NODE:ID, and waits for an "
	"interrupt, a\n"
	"termination signal or a hang-up. The segment ends with a whole page: bytes behind the file's end "
	"are zero.\n"
	"\n"
	"  -i, --id ID             segment ID, 0x400000 to 0x7fffffff; else the system chooses one\n"
	"  -p, --permissions MODE  octal read (4) and write (2) rights of owner, group and others; default "
	"0400\n"
	"      --rw                the same as --permissions 0600\n"
	"  -w, --write-back        at the end, write the memory back to FILE (as many bytes as were read)\n"
	"  -c, --controller NAME   default loopback\n"
	"  -j, --json              print node, ID and lengths as JSON, \"schema\": 1\n"
	"  -h, --help              this text\n"
	"\n"
	"Example:\n"
	"  rsm export --id 0x400000 --permissions 0644 /etc/services &\n"
	"  rsm get 0x400000 --length 100\n";

struct export_options {
	const char *path, *controller;
	rsm_memseg_id_t id;
	rsm_permission_t permissions;
	bool write_back, json;
};

/* Page-aligned, grown by mremap; `length` bytes are in use, the rest is zero. */
struct export_memory {
	char *base;
	size_t capacity, length;
};

static size_t page_round(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return (size + page - 1) / page * page;
}

static bool memory_resize(struct export_memory *memory, size_t capacity)
{
	void *base = memory->base ? mremap(memory->base, memory->capacity, capacity, MREMAP_MAYMOVE)
				  : mmap(NULL, capacity, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return false;
	memory->base = base;
	memory->capacity = capacity;
	return true;
}

/* Reads to the end of the file, whatever kind of file it is. */
static int memory_read(struct export_memory *memory, int fd, const char *path)
{
	struct stat status;
	if (fstat(fd, &status) != 0)
		return tool_fail_errno(errno, "export %s", path);
	if (S_ISDIR(status.st_mode))
		return tool_fail_errno(EISDIR, "export %s", path);
	/* One byte more than a regular file has, so that its end is seen without growing. */
	size_t capacity = S_ISREG(status.st_mode) ? page_round((size_t)status.st_size + 1) : (size_t)1 << 20;
	for (;;) {
		if (memory->length == memory->capacity &&
		    !memory_resize(memory, memory->capacity ? memory->capacity * 2 : capacity))
			return tool_fail_errno(errno, "export %s: memory for %zu bytes", path,
					       memory->capacity ? memory->capacity * 2 : capacity);
		ssize_t got = read(fd, memory->base + memory->length, memory->capacity - memory->length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return tool_fail_errno(errno, "read %s", path);
		if (got == 0)
			break;
		memory->length += (size_t)got;
	}
	if (memory->length == 0)
		return tool_fail("export %s: the file is empty, there is nothing to publish", path);
	if (!memory_resize(memory, page_round(memory->length)))
		return tool_fail_errno(errno, "export %s", path);
	return TOOL_OK;
}

static int memory_write(const struct export_memory *memory, int fd, const char *path)
{
	for (size_t done = 0; done < memory->length;) {
		ssize_t wrote = pwrite(fd, memory->base + done, memory->length - done, (off_t)done);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return tool_fail_errno(errno, "write back to %s: stopped after %zu of %zu bytes",
					       path, done, memory->length);
		done += (size_t)wrote;
	}
	return TOOL_OK;
}

static void print_address(const struct export_options *options, const struct export_memory *memory,
			  rsm_node_id_t node, rsm_memseg_id_t id)
{
	if (options->json)
		printf("{\"schema\": 1, \"node\": %u, \"id\": %u, \"id_hex\": \"0x%x\", \"length\": %zu, "
		       "\"file_length\": %zu}\n",
		       node, id, id, memory->capacity, memory->length);
	else
		printf("%u:0x%x\n", node, id);
	fflush(stdout);
}

/* Signals are blocked before the segment exists, so none of them can end the program between two steps. */
static int publish_and_wait(const struct export_options *options, const struct export_memory *memory,
			    const sigset_t *signals)
{
	struct tool_session session;
	rsm_memseg_export_handle_t segment = NULL;
	rsm_memseg_id_t id = options->id;
	int code, result = tool_session_open(&session, options->controller);
	if (result != TOOL_OK)
		goto out;
	code = rsm_memseg_export_create(session.controller, &segment, memory->base, memory->capacity, 0);
	if (code != RSM_SUCCESS) {
		result = tool_fail_code(code, "export %zu bytes of %s", memory->capacity, options->path);
		goto out;
	}
	rsmapi_access_entry_t access = {.ae_node = session.node, .ae_permission = options->permissions};
	code = rsm_memseg_export_publish(segment, &id, &access, 1);
	if (code != RSM_SUCCESS) {
		if (options->id)
			result = tool_fail_code(code, "publish %s as 0x%x", options->path, options->id);
		else
			result = tool_fail_code(code, "publish %s", options->path);
		goto out;
	}
	print_address(options, memory, session.node, id);
	while (sigwaitinfo(signals, NULL) < 0 && errno == EINTR)
		;
out:
	if (segment) {
		code = rsm_memseg_export_destroy(segment);
		if (code != RSM_SUCCESS && result == TOOL_OK)
			result = tool_fail_code(code, "withdraw 0x%x", id);
	}
	tool_session_close(&session);
	return result;
}

static int run(const struct export_options *options)
{
	bool standard_input = strcmp(options->path, "-") == 0;
	int fd = standard_input ? dup(STDIN_FILENO)
				: open(options->path, (options->write_back ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return tool_fail_errno(errno, "open %s", options->path);
	struct export_memory memory = {0};
	int result = memory_read(&memory, fd, options->path);
	if (result == TOOL_OK) {
		sigset_t signals;
		sigemptyset(&signals);
		sigaddset(&signals, SIGHUP);
		sigaddset(&signals, SIGINT);
		sigaddset(&signals, SIGTERM);
		sigprocmask(SIG_BLOCK, &signals, NULL);
		result = publish_and_wait(options, &memory, &signals);
	}
	/* After the withdrawal: no importer changes a byte any more. */
	if (result == TOOL_OK && options->write_back)
		result = memory_write(&memory, fd, options->path);
	if (memory.base)
		munmap(memory.base, memory.capacity);
	close(fd);
	return result;
}

int cmd_export(const struct tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {{"id", required_argument, NULL, 'i'},
						     {"permissions", required_argument, NULL, 'p'},
						     {"rw", no_argument, NULL, 'r'},
						     {"write-back", no_argument, NULL, 'w'},
						     {"controller", required_argument, NULL, 'c'},
						     {"json", no_argument, NULL, 'j'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct export_options options = {.permissions = 0400};
	uint64_t id;
	for (int option; (option = getopt_long(argc, argv, "i:p:wc:jh", long_options, NULL)) != -1;) {
		switch (option) {
		case 'i':
			if (!tool_parse_number(optarg, UINT32_MAX, &id) || id == 0)
				return tool_usage(command, "'%s' is not a segment ID such as 0x400000",
						  optarg);
			options.id = (rsm_memseg_id_t)id;
			break;
		case 'p':
			if (!tool_parse_permissions(optarg, &options.permissions))
				return tool_usage(command,
						  "'%s' is not an octal mode of 0, 2, 4, 6 such as 0640",
						  optarg);
			break;
		case 'r':
			options.permissions = 0600;
			break;
		case 'w':
			options.write_back = true;
			break;
		case 'c':
			options.controller = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, argv);
		}
	}
	if (optind + 1 != argc)
		return tool_usage(command, "one file expected");
	options.path = argv[optind];
	if (options.write_back && strcmp(options.path, "-") == 0)
		return tool_usage(command, "--write-back needs a named file");
	return run(&options);
}
