# Reads doc/COVERAGE.md, writes covers.h: { "function", "answer" },
BEGIN {
	FS = "|"
	print "/* Made from doc/COVERAGE.md; do not edit. */"
}
/^\| *`/ && NF >= 5 {
	answer = $3
	gsub(/^ +| +$/, "", answer)
	n = split($2, names, ",")
	for (i = 1; i <= n; i++) {
		name = names[i]
		gsub(/[ `]/, "", name)
		if (name ~ /^[A-Za-z_0-9]+$/)
			printf "{ \"%s\", \"%s\" },\n", name, answer
	}
}
