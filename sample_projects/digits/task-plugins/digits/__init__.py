"""The task plugins of this project; they find those that come with dioptra beside them."""
