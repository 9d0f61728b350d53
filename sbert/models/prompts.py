"""Prompts: texts that an encoder expects before each text, such as "query: ", by name."""

from collections.abc import Mapping

from sbert.errors import require

DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # the first that a model declares


class Prompted:
    """A model with prompts.

    Args:
        prompts: name -> the text that is put before each text.
        default_prompt_name: the prompt where none is asked for; None: no prompt.
    """

    prompts: dict[str, str]
    default_prompt_name: str | None

    def declare_prompts(
        self, prompts: Mapping[str, str] | None, default_prompt_name: str | None
    ) -> None:
        """Set both.

        Raises:
            InputError: a prompt that is not a text, a default that is not among them.
        """
        self.prompts = check_prompts(prompts or {}, default_prompt_name)
        self.default_prompt_name = default_prompt_name

    def find_prompt(self, prompt: str | None = None, prompt_name: str | None = None) -> str:
        """The text to put before each text: `prompt`, else the prompt of a name, else the default.

        "" for none.

        Raises:
            InputError: a name that the model does not declare; both a prompt and a name.
        """
        if prompt is not None:
            require(isinstance(prompt, str), f"prompt: {prompt!r} is not a str")
            require(
                prompt_name is None,
                f"prompt {prompt!r} and prompt_name '{prompt_name}' are both given; give one",
            )
            return prompt
        name = self.default_prompt_name if prompt_name is None else prompt_name
        if name is None:
            return ""
        check_prompts(self.prompts, name, "prompt_name")
        return self.prompts[name]

    @property
    def declares_prompts(self) -> bool:
        """Whether some prompt is not empty."""
        return any(self.prompts.values())

    @property
    def query_prompt(self) -> str:
        """The text before each query: the prompt "query", else none, never the default prompt."""
        return self.prompts.get("query", "")

    @property
    def document_prompt(self) -> str:
        """The text before each document: the first declared of DOCUMENT_PROMPTS, else none."""
        declared = [name for name in DOCUMENT_PROMPTS if name in self.prompts]
        return self.prompts[declared[0]] if declared else ""


def with_prompt(prompt: str, options: dict) -> dict:
    """The options of `encode` with this prompt, unless they name one."""
    names_one = any(options.get(name) is not None for name in ("prompt", "prompt_name"))
    return options if names_one else options | {"prompt": prompt}


def check_prompts(
    prompts: object, name: str | None = None, key: str = "default_prompt_name", place: str = ""
) -> dict[str, str]:
    """Prompts by name; one without a text (null) is the empty one.

    Args:
        name: must be among them, as the value of `key`.
        place: what an error starts with, such as a file.

    Raises:
        InputError: not names and texts; no prompt of that name.
    """
    require(
        isinstance(prompts, Mapping),
        f"{place}prompts: takes names and texts, such as {{query: 'query: '}}, not {prompts!r}",
    )
    checked = {key: "" if text is None else text for key, text in prompts.items()}
    for each, text in checked.items():
        require(isinstance(text, str), f"{place}prompts: '{each}' is {text!r}, not a text")
    known = ", ".join(checked) or "none"
    require(
        name is None or name in checked,
        f"{place}{key}: no prompt '{name}'; the model declares: {known}",
    )
    return checked
