select y * 2
