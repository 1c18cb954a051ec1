/* The arguments of the applet `diff`, for the two files that know them. */
#ifndef CRANNOG_TOOLS_DIFF_TAGS_H
#define CRANNOG_TOOLS_DIFF_TAGS_H

enum diff_tag { DIFF_ROOT = 1, DIFF_MANIFEST, DIFF_FOLDER, DIFF_FLAGS, DIFF_COLUMNS };
enum diff_flag { DIFF_TAKEN_BACK = 1, DIFF_COLOR = 2, DIFF_STAT = 4 };

#endif
