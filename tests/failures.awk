# SPDX-License-Identifier: BSD-2-Clause
# The part of a test's output that says why it failed, in at most "most" lines
# (60): what each failed case wrote, lines that tell of a fault with what comes
# behind them, and the end.  What passed is left out.
{
	gsub(/[\001-\010\016-\037]/, "?")
	line[NR] = length($0) > 400 ? substr($0, 1, 400) "..." : $0
}

# What a case writes comes before its verdict.  A skip may be the fault.
/^(ok|lack|passed|skipped) / || /^(passed|skipped):/ {
	begin = NR
}
/^(FAIL|skip)  / {
	for (i = NR - begin > 20 ? NR - 20 : begin + 1; i <= NR; i++)
		wanted[i] = 1
	begin = NR
}
# Check's; a shell test's; the scenarios'; those of the library and the kernel.
/:[EF]:/ || /^[Ww](rong|RONG)/ || /^failed / || /not to be skipped|skipped, and/ ||
/^lab: / || /[Ss]anitizer|panic|assert|BUG:|Oops:|WARNING: CPU/ || /^(FAIL|ERROR):? / {
	behind = 8
}
behind > 0 {
	behind--
	if ($0 !~ /^(ok|lack|passed|skipped) /)
		wanted[NR] = 1
}

END {
	if (!most)
		most = 60
	for (i = NR - 9 > 1 ? NR - 9 : 1; i <= NR; i++)
		wanted[i] = 1
	for (i = 1; i <= NR; i++)
		if (wanted[i])
			chosen[++n] = i
	# The first fault is mostly the cause of the others.
	head = n > most ? int(most * 2 / 3) : n
	for (i = 1; i <= n; i++) {
		if (i == head + 1) {
			printf "[... %d lines ...]\n", n - most
			i = n - (most - head) + 1
		}
		print line[chosen[i]]
	}
}
