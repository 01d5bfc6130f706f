/* SPDX-License-Identifier: BSD-2-Clause */
/* The checksum of memory, computed by sha256sum at the end of a pipe. */
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

void demo_checksum(const unsigned char *memory, size_t length, char digest[65])
{
	int in[2], out[2];
	if (pipe(in) != 0 || pipe(out) != 0)
		demo_fail("pipe failed");
	pid_t pid = fork();
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]); /* or the end of the input would never be seen */
		execlp("sha256sum", "sha256sum", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	for (size_t done = 0; done < length;) {
		ssize_t wrote = write(in[1], memory + done, length - done);
		if (wrote <= 0)
			demo_fail("sha256sum does not take its input");
		done += (size_t)wrote;
	}
	close(in[1]);
	size_t have = 0;
	for (ssize_t got; have < 64 && (got = read(out[0], digest + have, 64 - have)) > 0;)
		have += (size_t)got;
	digest[have] = '\0';
	close(out[0]);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 || have != 64)
		demo_fail("sha256sum failed");
}
