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
	"Reads FILE (- is standard input) into memory, publishes it, prints NODE:ID, and waits for an\n"
	"interrupt, a termination signal or a hang-up. The segment ends with a whole page: bytes behind\n"
	"the file's end are zero.\n"
	"\n"
	"  -i, --id ID             segment ID, 0x400000 to 0x7fffffff; else the system chooses one\n"
	"  -p, --permissions MODE  octal read (4) and write (2) rights of owner, group and others;\n"
	"                          default 0400\n"
	"      --rw                the same as --permissions 0600\n"
	"  -w, --write-back        at the end, write the memory back to FILE (as many bytes as were read)\n"
	"  -c, --controller NAME   default loopback, whose segments only this node sees; tcp0 for other "
	"nodes\n"
	"  -n, --nodes NODE[,..]   which nodes may connect; default this one and those that the\n"
	"                          controller leads to\n"
	"  -j, --json              print node, ID and lengths as JSON, \"schema\": 1\n"
	"  -h, --help              this text\n"
	"\n"
	"Example:\n"
	"  rsm export --id 0x400000 --permissions 0644 /etc/services &\n"
	"  rsm get 0x400000 --length 100\n"
	"  rsm export --controller tcp0 --nodes 2,3 --permissions 0644 /etc/services\n";

struct export_options {
	const char *path, *controller, *nodes;
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

/* The access list: one entry with the same rights for each node. */
struct export_access {
	rsmapi_access_entry_t *entries; /* owned */
	uint_t count;
};

static int access_add(struct export_access *access, rsm_node_id_t node, rsm_permission_t permission)
{
	for (uint_t i = 0; i < access->count; i++)
		if (access->entries[i].ae_node == node)
			return TOOL_OK;
	void *entries = reallocarray(access->entries, access->count + 1, sizeof(*access->entries));
	if (!entries)
		return tool_fail_errno(errno, "memory for an access list");
	access->entries = entries;
	access->entries[access->count++] =
		(rsmapi_access_entry_t){.ae_node = node, .ae_permission = permission};
	return TOOL_OK;
}

/* One node of a list such as 2,3; *at moves on, to NULL behind the last. */
static bool next_node(const char **at, uint64_t *node)
{
	char word[16];
	size_t length = strcspn(*at, ",");
	snprintf(word, sizeof(word), "%.*s", length < sizeof(word) ? (int)length : 0, *at);
	*at = (*at)[length] ? *at + length + 1 : NULL;
	return tool_parse_number(word, UINT32_MAX, node);
}

/* cmd_export has looked at the list already. */
static int access_named(struct export_access *access, const struct export_options *options)
{
	uint64_t node;
	int result = TOOL_OK;
	for (const char *at = options->nodes; at && result == TOOL_OK && next_node(&at, &node);)
		result = access_add(access, (rsm_node_id_t)node, options->permissions);
	return result;
}

/* This node, and all that the controller leads to now. */
static int access_all(struct export_access *access, const struct export_options *options, rsm_node_id_t local)
{
	rsm_topology_t *topology;
	int result = access_add(access, local, options->permissions);
	int code = rsm_get_interconnect_topology(&topology);
	if (code != RSM_SUCCESS)
		return tool_fail_code(code, "ask which nodes there are");
	for (uint_t i = 0; options->controller && i < topology->topology_hdr.local_cntlr_count; i++) {
		const rsm_connections_t *controller = topology->connections[i];
		if (!tool_route_is(controller->hdr.cntlr_name, options->controller))
			continue;
		for (int k = 0; k < controller->hdr.remote_cntlr_count && result == TOOL_OK; k++)
			result = access_add(access, controller->remote_cntlr[k].remote_nodeid,
					    options->permissions);
	}
	rsm_free_interconnect_topology(topology);
	return result;
}

/* Signals are blocked before the segment exists, so none of them can end the program between two steps. */
static int publish_and_wait(const struct export_options *options, const struct export_memory *memory,
			    const sigset_t *signals)
{
	struct tool_session session;
	struct export_access access = {0};
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
	result = options->nodes ? access_named(&access, options) : access_all(&access, options, session.node);
	if (result != TOOL_OK)
		goto out;
	code = rsm_memseg_export_publish(segment, &id, access.entries, access.count);
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
	free(access.entries);
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

static bool is_node_list(const char *text)
{
	uint64_t node;
	while (text && next_node(&text, &node))
		if (!text)
			return true;
	return false;
}

int cmd_export(const struct tool_command *command, int argc, char **argv)
{
	static const struct option long_options[] = {{"id", required_argument, NULL, 'i'},
						     {"permissions", required_argument, NULL, 'p'},
						     {"rw", no_argument, NULL, 'r'},
						     {"write-back", no_argument, NULL, 'w'},
						     {"controller", required_argument, NULL, 'c'},
						     {"nodes", required_argument, NULL, 'n'},
						     {"json", no_argument, NULL, 'j'},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct export_options options = {.permissions = 0400};
	uint64_t id;
	for (int option; (option = getopt_long(argc, argv, ":i:p:wc:n:jh", long_options, NULL)) != -1;) {
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
		case 'n':
			if (!is_node_list(optarg))
				return tool_usage(command, "'%s' is not a list of nodes such as 2,3", optarg);
			options.nodes = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			return tool_help(command);
		default:
			return tool_usage_option(command, option, argv, long_options);
		}
	}
	if (optind + 1 != argc)
		return tool_usage(command, "one file expected");
	options.path = argv[optind];
	if (options.write_back && strcmp(options.path, "-") == 0)
		return tool_usage(command, "--write-back needs a named file");
	return run(&options);
}
