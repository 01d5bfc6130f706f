/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live view on a terminal. This file owns ncurses. Whatever ends it passes through endwin; the signals that end programs only set
 * a flag, so that they do, too.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rsm/top.h"

#define HEAD_LINES 3  /* title, totals, headings */
#define WIDE       98 /* columns from which titles are whole and lines have a history */

struct screen {
	struct top *top;
	size_t first; /* of the lines that are shown, the uppermost */
	size_t count; /* of the view */
	bool paused, typing, ends;
	bool blocks; /* the terminal shows UTF-8 */
	char error[256];
	uint64_t next_ns; /* when to read again */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static void put_cell(int row, int *column, int width, bool right, const char *text)
{
	int room = COLS - *column;
	if (room <= 0)
		return;
	width = width < room ? width : room;
	mvprintw(row, *column, right ? "%*.*s" : "%-*.*s", width, width, text);
	*column += width + 1;
}

/* Numbers have their places; names share what is left. */
static int width_of(enum top_column column)
{
	static const int narrow[TOP_COLUMNS] = {0, 0, 6, 6, 7, 7, 7, 6, 5};
	static const int wide[TOP_COLUMNS] = {0, 0, 6, 6, 7, 7, 8, 9, 8};
	const int *widths = COLS < WIDE ? narrow : wide;
	int left = COLS - (COLS < WIDE ? 0 : TOP_HISTORY + 1);
	for (int i = TOP_PUT; i < TOP_COLUMNS; i++)
		left -= widths[i] + 1;
	int segment = left < 26 ? 11 : left < 36 ? 12 : 21;
	if (column == TOP_SEGMENT)
		return segment;
	if (column == TOP_IMPORTER)
		return left - segment - 2 > 4 ? left - segment - 2 : 4;
	return widths[column];
}

static const char *title_of(enum top_column column)
{
	if (COLS < WIDE && column == TOP_SIGNALS)
		return "SIG/s";
	return COLS < WIDE && column == TOP_FAILURES ? "FAIL" : top_titles[column];
}

static void put_history(const struct screen *screen, int row, int column, const struct top_line *line)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char plain[] = " .:-=+*%#";
	unsigned char heights[TOP_HISTORY];
	top_history_scale(line, heights);
	for (int i = 0; i < TOP_HISTORY && column + i < COLS; i++) {
		if (screen->blocks)
			mvaddstr(row, column + i, blocks[heights[i]]);
		else
			mvaddch(row, column + i, (chtype)plain[heights[i]]);
	}
}

static void put_line(const struct screen *screen, int row, const struct top_line *line)
{
	char text[96];
	int column = 0;
	for (int i = 0; i < TOP_COLUMNS; i++) {
		top_cell_format(line, (enum top_column)i, text, sizeof(text));
		put_cell(row, &column, width_of((enum top_column)i), i > TOP_IMPORTER, text);
	}
	if (COLS >= WIDE)
		put_history(screen, row, column, line);
}

static void put_title(const struct screen *screen)
{
	const struct top *top = screen->top;
	const struct top_model *model = &top->model;
	char text[256];
	snprintf(text, sizeof(text),
		 "rsm top - node %" JSON_INTEGER_FORMAT " (%.32s), %zu connections to %zu segments%s",
		 json_integer_value(json_object_get(top->node, "id")),
		 json_string_value(json_object_get(top->node, "name")), model->connection_count,
		 model->segment_count - model->idle_count, screen->paused ? "  PAUSED" : "");
	int column = 0, history = COLS - TOP_HISTORY;
	put_cell(0, &column, COLS, false, screen->error[0] ? screen->error : text);
	if (!screen->error[0] && history > (int)strlen(text))
		put_history(screen, 0, history, &model->totals);
}

/* The sums of what is shown, in the columns of what they sum. */
static void put_totals(const struct screen *screen)
{
	const struct top_line *totals = &screen->top->model.sum;
	char text[96];
	int column = 0;
	put_cell(1, &column, width_of(TOP_SEGMENT), false, "all");
	for (int i = TOP_IMPORTER; i < TOP_COLUMNS; i++) {
		top_cell_format(totals, (enum top_column)i, text, sizeof(text));
		put_cell(1, &column, width_of((enum top_column)i), i > TOP_IMPORTER, text);
	}
}

static void put_headings(const struct screen *screen)
{
	int column = 0;
	attron(A_REVERSE);
	mvhline(2, 0, ' ', COLS);
	for (int i = 0; i < TOP_COLUMNS; i++) {
		bool sorted = screen->top->view.sort == (enum top_column)i;
		if (sorted)
			attron(A_BOLD | A_UNDERLINE);
		put_cell(2, &column, width_of((enum top_column)i), i > TOP_IMPORTER,
			 title_of((enum top_column)i));
		if (sorted)
			attroff(A_BOLD | A_UNDERLINE);
	}
	if (COLS >= WIDE)
		put_cell(2, &column, TOP_HISTORY, false, "BYTES/s, HISTORY");
	attroff(A_REVERSE);
}

static void put_help(const struct screen *screen)
{
	const struct top_view *view = &screen->top->view;
	char text[160];
	int column = 0;
	if (screen->typing)
		snprintf(text, sizeof(text), "part of a segment's name: %s_", view->filter);
	else
		snprintf(text, sizeof(text),
			 "q quit  <> sort  r reverse  v %s  p pause  / filter%s%s  arrows scroll",
			 view->connections ? "segments" : "connections", view->filter[0] ? ":" : "",
			 view->filter);
	put_cell(LINES - 1, &column, COLS, false, text);
}

static size_t room(void)
{
	return LINES > HEAD_LINES + 1 ? (size_t)(LINES - HEAD_LINES - 1) : 0;
}

static void draw(struct screen *screen)
{
	struct top_model *model = &screen->top->model;
	screen->count = top_model_view(model, &screen->top->view);
	size_t last = screen->count > room() ? screen->count - room() : 0;
	screen->first = screen->first < last ? screen->first : last;
	erase();
	put_title(screen);
	put_totals(screen);
	put_headings(screen);
	for (size_t i = 0; model->shown && i < room() && screen->first + i < screen->count; i++)
		put_line(screen, HEAD_LINES + (int)i, model->shown[screen->first + i]);
	put_help(screen);
	move(LINES - 1, 0);
	refresh();
}

/* While a filter is typed, keys are its letters. */
static void take_letter(struct screen *screen, int key)
{
	char *filter = screen->top->view.filter;
	size_t length = strlen(filter);
	if (key == '\n' || key == KEY_ENTER || key == 27) {
		screen->typing = false;
		if (key == 27)
			filter[0] = '\0';
	} else if ((key == KEY_BACKSPACE || key == 127 || key == '\b') && length) {
		filter[length - 1] = '\0';
	} else if (key > ' ' && key < 127 && length + 1 < TOP_FILTER) {
		filter[length] = (char)key;
		filter[length + 1] = '\0';
	}
}

static void scroll_by(struct screen *screen, size_t lines, bool up)
{
	if (up)
		screen->first -= lines < screen->first ? lines : screen->first;
	else
		screen->first += lines;
}

static void take_key(struct screen *screen, int key)
{
	struct top_view *view = &screen->top->view;
	if (screen->typing) {
		take_letter(screen, key);
		return;
	}
	switch (key) {
	case 'q':
	case 'Q':
		screen->ends = true;
		break;
	case '>':
	case 's':
	case KEY_RIGHT:
		view->sort = (enum top_column)((view->sort + 1) % TOP_COLUMNS);
		break;
	case '<':
	case KEY_LEFT:
		view->sort = (enum top_column)((view->sort + TOP_COLUMNS - 1) % TOP_COLUMNS);
		break;
	case 'r':
		view->reverse = !view->reverse;
		break;
	case 'v':
	case '\t':
		view->connections = !view->connections;
		screen->first = 0;
		break;
	case 'p':
	case ' ':
		screen->paused = !screen->paused;
		break;
	case '/':
		screen->typing = true;
		view->filter[0] = '\0';
		break;
	case KEY_UP:
	case KEY_PPAGE:
		scroll_by(screen, key == KEY_UP ? 1 : room(), true);
		break;
	case KEY_DOWN:
	case KEY_NPAGE:
		scroll_by(screen, key == KEY_DOWN ? 1 : room(), false);
		break;
	default: /* KEY_RESIZE, and keys that mean nothing: drawn anew */
		break;
	}
}

/* A daemon that is gone is told in the first line, and asked for again with every reading. */
static void read_again(struct screen *screen)
{
	uint64_t now = base_clock_ns();
	if (now < screen->next_ns)
		return;
	screen->next_ns = now + screen->top->interval_ns;
	if (screen->paused)
		return;
	int code = top_read(screen->top);
	screen->error[0] = '\0';
	if (code != RSM_SUCCESS)
		snprintf(screen->error, sizeof(screen->error), "rsm top - %s", rsmx_last_error());
}

/* Until something is typed, the size changes, or it is time to read. */
static void wait_for_key(struct screen *screen)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	if (poll(&input, 1, base_clock_ms_until(screen->next_ns)) > 0 && !(input.revents & POLLIN))
		screen->ends = true; /* the terminal is gone */
	size_t keys = 0;
	for (int key; !screen->ends && (key = getch()) != ERR; keys++)
		take_key(screen, key);
	if ((input.revents & POLLIN) && keys == 0)
		screen->ends = true; /* its end was read */
}

int top_screen_run(struct top *top)
{
	struct screen screen = {.top = top};
	static const int enders[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction action = {.sa_handler = interrupt};
	setlocale(LC_CTYPE, "");
	screen.blocks = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	for (size_t i = 0; i < sizeof(enders) / sizeof(enders[0]); i++)
		sigaction(enders[i], &action, NULL);
	/* ncurses takes TERM=dumb and draws what such a terminal cannot show. */
	SCREEN *terminal = tool_terminal(STDOUT_FILENO) ? newterm(NULL, stdout, stdin) : NULL;
	if (!terminal)
		return tool_fail("top: TERM names no terminal that can be drawn on; set it, or use --batch");
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	while (!screen.ends && !interrupted) {
		read_again(&screen);
		draw(&screen);
		wait_for_key(&screen);
	}
	curs_set(1);
	endwin();
	delscreen(terminal);
	return TOOL_OK;
}
