// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "Input/Reply.h"
#include "Widgets/DeclarativeSyntaxSupport.h"
#include "Widgets/SCompoundWidget.h"

/** What every connected face says of itself, and a way to the settings. */
class SRestBridgeStatusPanel : public SCompoundWidget
{
public:
	SLATE_BEGIN_ARGS(SRestBridgeStatusPanel) {}
	SLATE_END_ARGS()

	void Construct(const FArguments& InArgs);

private:
	FText GetText() const;
	FReply OpenSettings();
};
