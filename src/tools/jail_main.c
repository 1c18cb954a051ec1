/* The program crannog-jail: plays one jail plan, with the file tools as its applets. */
#include "tools/inside.h"

int main(void)
{
    return jail_main(inside_applets, inside_napplets);
}
