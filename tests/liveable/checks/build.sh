# Proves that a C library is built, linked and run: fifty files, two at a time.
. ./lib.sh
i=0
while [ $i -lt 50 ]; do
  echo "int f$i(int x) { return x + $i; }" >"f$i.c"
  i=$((i + 1))
done
echo 'int f49(int); int main(void) { return f49(1) != 50; }' >main.c
printf 'OBJECTS = $(patsubst %%.c,%%.o,$(wildcard f*.c))\nall: main\nlib.a: $(OBJECTS)\n\tar rcs $@ $^\nmain: main.o lib.a\n\t$(CC) -o $@ $^\n' >Makefile
check "make -j2" make -s -j2 CC=cc
check "what was built runs" ./main
check "nothing is left to do" make -q CC=cc
